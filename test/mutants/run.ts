import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { createRandom } from "../memory/random.ts";
import { type Lane, type Unchanged, openLane, closeAll } from "./lane.ts";
import { MUTANTS } from "./list.ts";
import { type Mutant, areaOf } from "./mutant.ts";
import { type Outcome, type Result, appendResult, isGood, outcomeOf, readResults } from "./results.ts";

/**
 * `npm run mutants -- [--sample N] [--seed S] [--area A] [--only NAME]... [--lanes N] [--results FILE]`: exit code 0 if
 * every mutant that is not equivalent was killed. What FILE says to be killed is not tried again, and what is tried is
 * added to it: a run that broke goes on.
 */
interface Choice {
  readonly mutants: readonly Mutant[];
  readonly lanes: number;
  readonly seed: number | undefined;
  readonly resultsFile: string | undefined;
}

function chosen(): Choice {
  const { values } = parseArgs({
    options: {
      sample: { type: "string" },
      seed: { type: "string" },
      area: { type: "string" },
      only: { type: "string", multiple: true },
      lanes: { type: "string" },
      results: { type: "string" },
    },
  });
  const { sample, seed = "1", area, only, lanes = availableParallelism(), results } = values;
  const wanted = MUTANTS.filter(
    (mutant) =>
      (area === undefined || mutant.file.startsWith(area)) &&
      (only?.some((part) => mutant.name.includes(part)) ?? true),
  );
  const choice = { lanes: Number(lanes), resultsFile: results };
  if (sample === undefined) return { ...choice, mutants: wanted, seed: undefined };
  const killable = wanted.filter(({ equivalent }) => equivalent === undefined);
  return {
    ...choice,
    mutants: createRandom(Number(seed)).shuffle(killable).slice(0, Number(sample)),
    seed: Number(seed),
  };
}

async function main(): Promise<number> {
  const { mutants, lanes: laneCount, seed, resultsFile } = chosen();
  if (mutants.length === 0) throw new Error("no mutant has this name or lies in this area");
  if (seed !== undefined)
    print(`Seed ${seed}: the same sample comes again with --sample ${mutants.length} --seed ${seed}.`);
  const startedMs = performance.now();
  const known = resultsFile === undefined ? [] : readResults(resultsFile, mutants);
  const waiting = mutants.filter((mutant) => known.every((result) => result.mutant !== mutant));
  const lanes = await Promise.all(Array.from({ length: Math.min(laneCount, waiting.length) }, openLane));
  try {
    const unchanged = await runUnchanged(lanes, waiting);
    if (unchanged.failed.length > 0) {
      print(`Without any mutant these fail:\n${unchanged.failed.join("\n")}`);
      return 2;
    }
    print(`${waiting.length} mutants in ${lanes.length} lanes; their tests pass without them (${since(startedMs)}).`);
    const results = await tryAll(lanes, waiting, unchanged, resultsFile);
    return tell([...known, ...results], since(startedMs));
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()));
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The tests of all mutants, shared out among the lanes. */
async function runUnchanged(lanes: readonly Lane[], mutants: readonly Mutant[]): Promise<Unchanged> {
  const tests = [...new Set(mutants.flatMap((mutant) => mutant.tests))];
  const runs = await Promise.all(
    lanes.map(async (lane, at) => {
      const share = tests.filter((_test, index) => index % lanes.length === at);
      return share.length === 0 ? { durationMs: new Map<string, number>(), failed: [] } : lane.runUnchanged(share);
    }),
  );
  return {
    durationMs: new Map(runs.flatMap(({ durationMs }) => [...durationMs])),
    failed: runs.flatMap(({ failed }) => failed),
  };
}

async function tryAll(
  lanes: readonly Lane[],
  mutants: readonly Mutant[],
  unchanged: Unchanged,
  resultsFile: string | undefined,
): Promise<readonly Result[]> {
  const waiting = [...mutants];
  const results: Result[] = [];
  await Promise.all(
    lanes.map(async (lane) => {
      for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
        const begunMs = performance.now();
        const verdict = await lane.try(mutant, unchanged);
        const result = { mutant, verdict, tookMs: performance.now() - begunMs };
        results.push(result);
        if (resultsFile !== undefined) appendResult(resultsFile, result);
        print(lineOf(result));
      }
    }),
  );
  return results;
}

function lineOf(result: Result): string {
  const { mutant, verdict, tookMs } = result;
  const how =
    verdict.kind === "killed"
      ? verdict.by
      : verdict.kind === "broken"
        ? verdict.why
        : (mutant.equivalent ?? mutant.why);
  return `${outcomeOf(result).padEnd(10)} ${seconds(tookMs).padStart(7)}  ${areaOf(mutant)}: ${mutant.name}\n${" ".repeat(20)}${how}`;
}

/** The table, what was not killed, and at the very end a line as vitest has it, which `.ci/run` counts. */
function tell(results: readonly Result[], took: string): number {
  const outcomes: readonly Outcome[] = ["killed", "equivalent", "survived", "broken"];
  const row = (name: string, of: readonly Result[]): string =>
    [
      name.padEnd(16),
      ...outcomes.map((outcome) => String(of.filter((each) => outcomeOf(each) === outcome).length).padStart(10)),
    ].join(" ");
  print(`\n${["area".padEnd(16), ...outcomes.map((outcome) => outcome.padStart(10))].join(" ")}`);
  for (const area of [...new Set(results.map(({ mutant }) => areaOf(mutant)))].toSorted()) {
    const inside = results.filter(({ mutant }) => areaOf(mutant) === area);
    print(row(area, inside));
  }
  print(row("all", results));
  const equivalent = results.filter((result) => outcomeOf(result) === "equivalent");
  if (equivalent.length > 0) print("\nequivalent:");
  for (const { mutant } of equivalent) print(`  ${areaOf(mutant)}: ${mutant.name}: ${mutant.equivalent ?? ""}`);
  const bad = results.filter((result) => !isGood(result));
  for (const result of bad) print(`\n FAIL  ${lineOf(result)}`);
  const good = results.length - bad.length;
  print(`\n Tests  ${bad.length > 0 ? `${bad.length} failed | ` : ""}${good} passed (${results.length}) in ${took}`);
  return bad.length === 0 ? 0 : 1;
}

function since(startMs: number): string {
  return seconds(performance.now() - startMs);
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(1)} s`;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    closeAll();
    process.exit(130);
  });
}
process.exitCode = await main();
