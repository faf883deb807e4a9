import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Edit, type Mutant, applied, editsOf } from "./mutant.ts";

/** A copy of the sources in which one mutant after the other is planted. */
export interface Lane {
  /** Runs the tests on the sources as they stand. A mutant may take ten times as long before it counts as hanging. */
  runUnchanged(tests: readonly string[]): Promise<Unchanged>;
  try(mutant: Mutant, unchanged: Unchanged): Promise<Verdict>;
  /** Runs the simulation on the sources with these edits, for at most `maxMs`. */
  soak(edits: readonly Edit[], parameters: readonly string[], maxMs: number): Promise<Ended>;
  close(): Promise<void>;
}

export interface Unchanged {
  /** Of each test file, by its name. */
  readonly durationMs: ReadonlyMap<string, number>;
  /** Tests that fail without any mutant: nothing can be told by them. */
  readonly failed: readonly string[];
}

export type Verdict =
  | { readonly kind: "killed"; readonly by: string }
  | { readonly kind: "survived" }
  /** Neither: no test ran, or the run broke. */
  | { readonly kind: "broken"; readonly why: string };

const NOT_COPIED = /^(packages\/[^/]+\/)?(node_modules|dist|coverage|\.git|\.leeward|\.vitest)$/;
/** Properties and the simulation draw the same cases each time, so that a mutant is killed always or never. */
const FIXED = { FC_SEED: "1", LEEWARD_HISTORIES: "40" };
const SOAK = "test/simulation/soak.ts";
const OUTPUT_MAX_LENGTH = 200_000;
const WHY_MAX_LENGTH = 2_000;
const START_MS = 30_000;
const SLOWER_MAX = 10;
const UNCHANGED_MAX_MS = 900_000;

/** Processes that run now, each the leader of a group of its own. */
const running = new Set<ChildProcess>();
const folders = new Set<string>();

/** Leaves nothing behind, at once. */
export function closeAll(): void {
  for (const child of running) stop(child);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

export async function openLane(): Promise<Lane> {
  const root = process.cwd();
  const folder = await mkdtemp(join(tmpdir(), "leeward-mutants-"));
  folders.add(folder);
  const isCopied = (from: string): boolean => !NOT_COPIED.test(from.slice(root.length + 1));
  await cp(root, folder, { recursive: true, filter: isCopied });
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  return {
    runUnchanged: (tests) => runUnchanged(folder, tests),
    try: (mutant, unchanged) =>
      planted(folder, editsOf(mutant), () => judge(folder, mutant, unchanged)).catch((error: unknown) => ({
        kind: "broken",
        why: String(error),
      })),
    soak: (edits, parameters, maxMs) => planted(folder, edits, () => run(folder, [SOAK, ...parameters], maxMs)),
    close: async () => {
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
      folders.delete(folder);
    },
  };
}

async function planted<Result>(folder: string, edits: readonly Edit[], run: () => Promise<Result>): Promise<Result> {
  const before = new Map<string, string>();
  try {
    for (const edit of edits) {
      const text = await readFile(join(folder, edit.file), "utf8");
      if (!before.has(edit.file)) before.set(edit.file, text);
      await writeFile(join(folder, edit.file), applied(edit, text));
    }
    return await run();
  } finally {
    for (const [file, text] of before) await writeFile(join(folder, file), text);
  }
}

async function runUnchanged(folder: string, tests: readonly string[]): Promise<Unchanged> {
  const { report, output } = await runTests(folder, tests, UNCHANGED_MAX_MS);
  const files = report?.testResults ?? [];
  const durationMs = new Map(
    files.map(({ name, startTime, endTime }) => [name.slice(folder.length + 1), endTime - startTime]),
  );
  const missing = tests.filter((test) => !durationMs.has(test)).map((test) => `${test} did not run: ${endOf(output)}`);
  return { durationMs, failed: [...missing, ...failuresOf(files)] };
}

/** Runs the quickest test file first, and none behind the first that fails. */
async function judge(folder: string, { tests, histories }: Mutant, { durationMs }: Unchanged): Promise<Verdict> {
  const usualMs = (test: string): number => durationMs.get(test) ?? 0;
  for (const test of tests.toSorted((left, right) => usualMs(left) - usualMs(right))) {
    const maxMs = START_MS + SLOWER_MAX * usualMs(test);
    const { isOverdue, code, report, output } = await runTests(
      folder,
      [test],
      maxMs,
      "--bail",
      "1",
      "--testTimeout",
      String(maxMs / 2),
    );
    if (isOverdue) return { kind: "killed", by: `${test}: it hangs` };
    const [first] = failuresOf(report?.testResults ?? []);
    if (first !== undefined) return { kind: "killed", by: `${test}: ${first}` };
    if (code !== 0 || report === undefined) return { kind: "broken", why: endOf(output) };
  }
  return histories === undefined ? { kind: "survived" } : soak(folder, histories);
}

const endOf = (output: string): string => output.slice(-WHY_MAX_LENGTH);

async function soak(folder: string, histories: number): Promise<Verdict> {
  const maxMs = START_MS + histories * 1_000;
  const { isOverdue, code, output } = await run(folder, [SOAK, "--seed", "1", "--histories", String(histories)], maxMs);
  if (isOverdue) return { kind: "killed", by: "the simulation hangs" };
  if (code === 0) return { kind: "survived" };
  return code === 1 ? { kind: "killed", by: "simulation" } : { kind: "broken", why: endOf(output) };
}

interface Report {
  readonly testResults: readonly FileResult[];
}

interface FileResult {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly startTime: number;
  readonly endTime: number;
  readonly assertionResults: readonly { readonly status: string; readonly title: string }[];
}

function failuresOf(files: readonly FileResult[]): readonly string[] {
  return files.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === "failed").map(({ title }) => title),
  );
}

async function runTests(folder: string, tests: readonly string[], maxMs: number, ...options: readonly string[]) {
  const file = join(folder, "report.json");
  await rm(file, { force: true });
  const ended = await run(
    folder,
    [
      join("node_modules", "vitest", "vitest.mjs"),
      "run",
      "--no-cache",
      "--fsModuleCachePath",
      join(folder, ".vitest"),
      "--maxWorkers",
      "1",
      "--reporter",
      "json",
      "--outputFile",
      file,
      ...options,
      ...tests,
    ],
    maxMs,
  );
  const text = await readFile(file, "utf8").catch(() => undefined);
  return { ...ended, report: text === undefined ? undefined : (JSON.parse(text) as Report) };
}

export interface Ended {
  readonly code: number | null;
  readonly isOverdue: boolean;
  /** The end of what it said. */
  readonly output: string;
}

function run(folder: string, parameters: readonly string[], maxMs: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, parameters, {
      cwd: folder,
      env: { ...process.env, ...FIXED },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    let output = "";
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString("utf8")).slice(-OUTPUT_MAX_LENGTH);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    let isOverdue = false;
    const timer = setTimeout(() => {
      isOverdue = true;
      stop(child);
    }, maxMs);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code, isOverdue, output });
    });
  });
}

function stop({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
