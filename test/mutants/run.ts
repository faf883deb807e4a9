import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { createRandom } from "../memory/random.ts";
import { type Lane, type Unchanged, type Verdict, openLane, closeAll } from "./lane.ts";
import { MUTANTS } from "./list.ts";
import { type Mutant, areaOf } from "./mutant.ts";

/** `npm run mutants -- [--sample N] [--seed S] [--area A] [--only NAME]... [--lanes N]`: exit code 0 if every mutant that is not equivalent was killed. */
interface Choice {
  readonly mutants: readonly Mutant[];
  readonly lanes: number;
  readonly seed: number | undefined;
}

interface Result {
  readonly mutant: Mutant;
  readonly verdict: Verdict;
}

function chosen(): Choice {
  const { values } = parseArgs({
    options: {
      sample: { type: "string" },
      seed: { type: "string" },
      area: { type: "string" },
      only: { type: "string", multiple: true },
      lanes: { type: "string" },
    },
  });
  const { sample, seed = "1", area, only, lanes = availableParallelism() } = values;
  const wanted = MUTANTS.filter(
    (mutant) => (area === undefined || mutant.file.startsWith(area)) && (only?.some((part) => mutant.name.includes(part)) ?? true),
  );
  if (sample === undefined) return { mutants: wanted, lanes: Number(lanes), seed: undefined };
  const killable = wanted.filter(({ equivalent }) => equivalent === undefined);
  return { mutants: createRandom(Number(seed)).shuffle(killable).slice(0, Number(sample)), lanes: Number(lanes), seed: Number(seed) };
}

async function main(): Promise<number> {
  const { mutants, lanes: laneCount, seed } = chosen();
  if (mutants.length === 0) throw new Error("no mutant has this name or lies in this area");
  const startedMs = performance.now();
  const lanes = await Promise.all(Array.from({ length: Math.min(laneCount, mutants.length) }, openLane));
  try {
    const unchanged = await runUnchanged(lanes, mutants);
    if (unchanged.failed.length > 0) {
      print(`Without any mutant these fail:\n${unchanged.failed.join("\n")}`);
      return 2;
    }
    print(`${mutants.length} mutants in ${lanes.length} lanes; their tests pass without them (${since(startedMs)}).`);
    const results = await tryAll(lanes, mutants, unchanged);
    return tell(results, seed, since(startedMs));
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
  return { durationMs: new Map(runs.flatMap(({ durationMs }) => [...durationMs])), failed: runs.flatMap(({ failed }) => failed) };
}

async function tryAll(lanes: readonly Lane[], mutants: readonly Mutant[], unchanged: Unchanged): Promise<readonly Result[]> {
  const waiting = [...mutants];
  const results: Result[] = [];
  await Promise.all(
    lanes.map(async (lane) => {
      for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
        const begunMs = performance.now();
        const result = { mutant, verdict: await lane.try(mutant, unchanged) };
        results.push(result);
        print(lineOf(result, since(begunMs)));
      }
    }),
  );
  return results;
}

type Outcome = "killed" | "equivalent" | "survived" | "broken";

/** An equivalent mutant that is killed is none: its reason is wrong. */
function outcomeOf({ mutant, verdict }: Result): Outcome {
  if (mutant.equivalent === undefined || verdict.kind === "broken") return verdict.kind;
  return verdict.kind === "survived" ? "equivalent" : "broken";
}

function lineOf(result: Result, took: string): string {
  const { mutant, verdict } = result;
  const how = verdict.kind === "killed" ? verdict.by : verdict.kind === "broken" ? verdict.why : (mutant.equivalent ?? mutant.why);
  return `${outcomeOf(result).padEnd(10)} ${took.padStart(6)}  ${areaOf(mutant)}: ${mutant.name}\n${" ".repeat(20)}${how}`;
}

function tell(results: readonly Result[], seed: number | undefined, took: string): number {
  const outcomes: readonly Outcome[] = ["killed", "equivalent", "survived", "broken"];
  const areas = [...new Set(results.map(({ mutant }) => areaOf(mutant)))].toSorted();
  const row = (name: string, of: readonly Result[]): string =>
    [name.padEnd(16), ...outcomes.map((outcome) => String(of.filter((each) => outcomeOf(each) === outcome).length).padStart(10))].join(" ");
  print(`\n${["area".padEnd(16), ...outcomes.map((outcome) => outcome.padStart(10))].join(" ")}`);
  for (const area of areas) {
    print(
      row(
        area,
        results.filter(({ mutant }) => areaOf(mutant) === area),
      ),
    );
  }
  print(row("all", results));
  const passed = results.filter((result) => ["killed", "equivalent"].includes(outcomeOf(result))).length;
  for (const result of results) if (!["killed", "equivalent"].includes(outcomeOf(result))) print(`\n${lineOf(result, "")}`);
  if (seed !== undefined) print(`\nSeed ${seed}: the same sample comes again with --sample ${results.length} --seed ${seed}.`);
  print(`\nTests  ${passed} passed, ${results.length - passed} failed (${took})`);
  return passed === results.length ? 0 : 1;
}

function since(startMs: number): string {
  return `${((performance.now() - startMs) / 1_000).toFixed(1)} s`;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    closeAll();
    process.exit(130);
  });
}
process.exitCode = await main();
