import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { appFolder } from "../local/supervisor/programs.ts";
import { atMost, type Figure } from "./figure.ts";
import { median } from "./statistics.ts";

const run = promisify(execFile);
const STARTS = 11;
const TELL_USAGE = "const { user, system } = process.cpuUsage(); console.log((user + system) / 1000);";

/** One start, by wall-clock and by processor time: other processes distort only the former. */
interface Start {
  readonly elapsedMs: number;
  readonly processorMs: number;
}

/**
 * What a fresh process pays for the built app before its first function is known: the time from starting Node to its
 * end, with and without the import, one after the other, so that both run under the same conditions. Files are in the
 * file system's cache; a machine that reads them remotely pays more for each.
 */
export async function startFigures(): Promise<readonly Figure[]> {
  const entry = pathToFileURL(join(appFolder(), mainOf(appFolder()))).href;
  const differences: Start[] = [];
  for (let count = 0; count <= STARTS; count += 1) {
    const empty = await start("");
    const imported = await start(`await import(${JSON.stringify(entry)});`);
    // The first start reads the files into the cache.
    if (count === 0) continue;
    differences.push({
      elapsedMs: imported.elapsedMs - empty.elapsedMs,
      processorMs: imported.processorMs - empty.processorMs,
    });
  }
  const of = (part: keyof Start): number => median(differences.map((difference) => difference[part]));
  return [
    {
      name: `cold import of the built app, without Node's own start (${STARTS} starts)`,
      value: of("elapsedMs"),
      unit: "ms",
      goal: atMost(400),
    },
    { name: "the same by processor time", value: of("processorMs"), unit: "ms", goal: undefined },
  ];
}

/** Where the worker of Azure Functions looks for the app. */
function mainOf(folder: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  if (typeof manifest === "object" && manifest !== null && "main" in manifest && typeof manifest.main === "string")
    return manifest.main;
  throw new Error("package.json names no entry of the app.");
}

async function start(script: string): Promise<Start> {
  const startedMs = performance.now();
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", `${script} ${TELL_USAGE}`]);
  const elapsedMs = performance.now() - startedMs;
  return { elapsedMs, processorMs: Number(stdout.trim().split("\n").at(-1)) };
}
