import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { type HistoryResult, runHistory } from "./history.ts";
import { type HistoryPlan, planHistory } from "./plan.ts";
import { PLANS } from "./plans.ts";
import { shrink } from "./shrink.ts";

/**
 * Many histories of the whole product: `npm run soak -- --seed 1 --histories 1000 [--shrink 3]`. Seeds
 * count up from `--seed`. The first histories that fail are shrunk and printed as plans for `plans.ts`; `--plan NAME`
 * runs one from there. Exit code 1 when any history failed.
 */
interface Share {
  readonly firstSeed: number;
  readonly histories: number;
  readonly lanes: number;
  readonly lane: number;
}

interface Failure {
  readonly seed: number;
  readonly wrong: readonly string[];
}

interface Done {
  readonly histories: number;
  readonly points: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly failures: readonly Failure[];
}

const SHRINK_TRIES = 60;

/** A history that makes the simulation itself throw has failed too. */
async function run(plan: HistoryPlan): Promise<Omit<HistoryResult, "digest" | "trace">> {
  try {
    return await runHistory(plan);
  } catch (error) {
    return { wrong: [`the history threw ${String(error)}`], points: 0, events: 0, virtualMs: 0 };
  }
}

/** Stack traces cost time: most histories make errors, and violations are reported as sentences. */
Error.stackTraceLimit = 0;

/** Runs the seeds of one lane. Lanes take seeds in turn, so that they finish at about the same time. */
async function runShare({ firstSeed, histories, lanes, lane }: Share): Promise<Done> {
  const done = { histories: 0, points: 0, events: 0, virtualMs: 0, failures: [] as Failure[] };
  for (let index = lane; index < histories; index += lanes) {
    const seed = firstSeed + index;
    const { wrong, points, events, virtualMs } = await run(planHistory(seed));
    done.histories += 1;
    done.points += points;
    done.events += events;
    done.virtualMs += virtualMs;
    if (wrong.length > 0) done.failures.push({ seed, wrong });
  }
  return done;
}

function inWorker(share: Share): Promise<Done> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share });
    worker.once("message", (done: Done) => resolve(done));
    worker.once("error", reject);
  });
}

/** A sentence without its numbers, which change while a history is shrunk. */
const kindOf = (sentence: string): string => sentence.replaceAll(/\d+/g, "#");

async function smaller({ seed, wrong }: Failure): Promise<HistoryPlan> {
  const kinds = new Set(wrong.map(kindOf));
  const stillFails = async (plan: HistoryPlan): Promise<boolean> =>
    (await run(plan)).wrong.some((sentence) => kinds.has(kindOf(sentence)));
  return shrink(planHistory(seed), stillFails, SHRINK_TRIES);
}

async function runPlan(name: string, print: (line: string) => void): Promise<void> {
  const found = PLANS.find((each) => each.name === name);
  if (found === undefined)
    throw new Error(`There is no plan ${name}, but ${PLANS.map((each) => each.name).join(", ")}.`);
  const { wrong } = await run(found.plan);
  const isSound = wrong.length === 0;
  print(isSound ? `1 passed, 0 failed` : `plan ${name}: ${wrong.join("; ")}\n0 passed, 1 failed`);
  process.exitCode = isSound ? 0 : 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
      histories: { type: "string", default: "1000" },
      plan: { type: "string" },
      shrink: { type: "string", default: "3" },
      lanes: { type: "string", default: String(availableParallelism()) },
    },
  });
  const [firstSeed, histories, lanes] = [Number(values.seed), Number(values.histories), Number(values.lanes)];
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  if (values.plan !== undefined) return runPlan(values.plan, print);
  print(`seeds ${firstSeed} to ${firstSeed + histories - 1} in ${lanes} lanes`);
  const startedMs = performance.now();
  const shares = await Promise.all(
    Array.from({ length: lanes }, (_, lane) => inWorker({ firstSeed, histories, lanes, lane })),
  );
  const seconds = (performance.now() - startedMs) / 1000;
  const sum = (part: "histories" | "points" | "events" | "virtualMs"): number =>
    shares.reduce((total, share) => total + share[part], 0);
  const failures = shares.flatMap((share) => share.failures).toSorted((one, other) => one.seed - other.seed);
  print(
    `${(sum("histories") / seconds).toFixed(1)} histories/s, ${sum("events")} events, ${sum("points")} recovery points looked at`,
  );
  print(`virtual to real time ${(sum("virtualMs") / 1000 / seconds).toFixed(0)} to 1`);
  for (const { seed, wrong } of failures) print(`seed ${seed}: ${wrong.join("; ")}`);
  for (const failure of failures.slice(0, Number(values.shrink))) {
    print(`seed ${failure.seed}, made smaller: ${JSON.stringify(await smaller(failure))}`);
  }
  print(`${histories - failures.length} passed, ${failures.length} failed`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

if (isMainThread) await main();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
else parentPort?.postMessage(await runShare(workerData as Share));
