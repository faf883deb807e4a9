import { parseArgs } from "node:util";
import { type Ended, type Lane, closeAll, openLane } from "../mutants/lane.ts";
import { PLANTED_FAULTS, type PlantedFault } from "./planted.ts";

/**
 * Plants faults that the product once had, one after the other, in a copy of the sources, and tells in how many
 * histories the simulation finds each: `npm run planted -- [--only NAME]... [--histories 300] [--seed 1] [--shrink 0]`.
 * With `--known` each is tried on the one plan that is known to find it. Exit code 0 when every fault was found.
 */
interface Found {
  readonly fault: PlantedFault;
  readonly histories: number;
  readonly failures: readonly { readonly history: string; readonly sentence: string }[];
  /** Shrunk plans, when asked for. */
  readonly plans: readonly string[];
  /** Why the run itself failed, so that it says nothing about the fault. */
  readonly broken: string | undefined;
}

const START_MS = 60_000;
/** Time limits of one history on a busy machine, and of shrinking one. */
const HISTORY_MAX_MS = 3_000;
const SHRINK_MAX_MS = 300_000;

interface Choice {
  readonly seed: string;
  readonly histories: number;
  readonly shrink: number;
  readonly isKnown: boolean;
}

async function tryFault(lane: Lane, fault: PlantedFault, { seed, histories, shrink, isKnown }: Choice): Promise<Found> {
  const parameters = isKnown
    ? ["--plan", fault.name]
    : ["--seed", seed, "--histories", String(histories), "--shrink", String(shrink)];
  const ended = await lane.soak(
    fault.edits,
    parameters,
    START_MS + histories * HISTORY_MAX_MS + shrink * SHRINK_MAX_MS,
  );
  const lines = ended.output.split("\n");
  const failures = lines.flatMap((line) => {
    const [, history, sentence] = /^((?:seed|plan) [^:]+): (.*)$/.exec(line) ?? [];
    return history === undefined || sentence === undefined || history.endsWith("made smaller")
      ? []
      : [{ history, sentence }];
  });
  const plans = lines.filter((line) => /^seed \d+, made smaller/.test(line));
  return { fault, histories, failures, plans, broken: brokenBy(ended) };
}

function brokenBy({ isOverdue, code, output }: Ended): string | undefined {
  if (isOverdue) return "the simulation hangs";
  return code === 0 || code === 1 ? undefined : output.slice(-1_000);
}

function lineOf({ fault, histories, failures, broken }: Found): string {
  const [first] = failures;
  const share = `${failures.length} of ${histories}`;
  const what = broken ?? (first === undefined ? "not found" : `${first.history}: ${first.sentence}`);
  return `${fault.name.padEnd(12)} ${share.padStart(11)}  ${what}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      histories: { type: "string", default: "300" },
      seed: { type: "string", default: "1" },
      shrink: { type: "string", default: "0" },
      known: { type: "boolean", default: false },
    },
  });
  const { only, known } = values;
  const faults = PLANTED_FAULTS.filter(({ name }) => only?.includes(name) ?? true);
  if (faults.length === 0)
    throw new Error(`No fault has this name. There are: ${PLANTED_FAULTS.map(({ name }) => name).join(", ")}.`);
  const choice: Choice = {
    seed: values.seed,
    histories: known ? 1 : Number(values.histories),
    shrink: known ? 0 : Number(values.shrink),
    isKnown: known,
  };
  const lane = await openLane();
  const results: Found[] = [];
  try {
    for (const fault of faults) {
      const result = await tryFault(lane, fault, choice);
      results.push(result);
      for (const line of [lineOf(result), `${" ".repeat(26)}(${fault.wrong})`, ...result.plans]) print(line);
    }
  } finally {
    await lane.close();
  }
  const found = results.filter(({ failures }) => failures.length > 0).length;
  print(`${found} passed, ${results.length - found} failed`);
  return found === results.length ? 0 : 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    closeAll();
    process.exit(130);
  });
}
process.exitCode = await main();
