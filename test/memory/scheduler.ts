import { LeewardError } from "../../replication/errors.ts";
import type { Clock, Timer } from "../../replication/ports.ts";
import type { Random } from "./random.ts";
import type { Around, PortCall } from "./wrapped-stores.ts";

/**
 * The fault model, for stores in memory. Every call of every worker waits until the scheduler picks it; between two
 * picks everything runnable has run. A call may time out: then it is lost, or has landed, or lands up to `lateSteps`
 * later, whatever its worker does meanwhile. A worker may stall, or crash at any await: its calls under way are lost or
 * land later, and it never runs again. A write may be refused as busy, without effect, except a page write: that one
 * may still land later. One step is one second of the clock.
 */
export interface Scheduler {
  readonly clock: Clock;
  /** Pauses of one worker: it resumes in the first step after their end in which it is not stalled. */
  timer(worker: string): Timer;
  /** Wraps one worker's port calls. */
  around(worker: string): Around;
  /** Runs one step: lands late calls, then executes one waiting call of a worker that is not stalled. */
  step(): Promise<void>;
  crash(worker: string): void;
  /** Runs nothing of this worker until `steps` have passed. */
  stall(worker: string, steps: number): void;
  /** Lands everything still under way, in random order. */
  landAll(): Promise<void>;
  /** From here on no call fails, and late ones still land. */
  heal(): void;
}

export interface Faults {
  readonly timeoutChance: number;
  readonly readFailureChance: number;
  readonly busyChance: number;
  readonly lateSteps: number;
}

interface Waiting {
  readonly worker: string;
  readonly call: PortCall;
  /** Makes the call; drops its result. */
  readonly land: () => Promise<void>;
  /** Makes the call and answers the worker. */
  readonly finish: () => Promise<void>;
  readonly fail: (error: LeewardError) => void;
}

const STEP_MS = 1_000;

export function createScheduler(random: Random, startMs: number, faults: Faults): Scheduler {
  let nowMs = startMs;
  let stepCount = 0;
  let active = faults;
  let waiting: Waiting[] = [];
  let late: { readonly atStep: number; readonly land: () => Promise<void> }[] = [];
  const crashed = new Set<string>();
  const stalledUntil = new Map<string, number>();
  let pausing: { readonly worker: string; readonly untilMs: number; readonly resolve: () => void }[] = [];

  const delay = (land: () => Promise<void>): void => {
    late.push({ atStep: stepCount + 1 + random.below(faults.lateSteps), land });
  };
  async function execute(chosen: Waiting): Promise<void> {
    const { kind, method } = chosen.call;
    if (kind === "write" && random.chance(active.busyChance)) {
      // Azure does not document this; the engine must bear it.
      if (method.endsWith("Pages") && random.chance(0.5)) delay(chosen.land);
      chosen.fail(new LeewardError("store-busy", `${chosen.call.method} was refused.`));
    } else if (kind === "write" && random.chance(active.timeoutChance)) {
      const fate = random.next();
      if (fate >= 0.34 && fate < 0.67) await chosen.land();
      if (fate >= 0.67) delay(chosen.land);
      chosen.fail(new LeewardError("outcome-unknown", `${chosen.call.method} timed out.`));
    } else if (kind !== "write" && random.chance(active.readFailureChance)) {
      chosen.fail(new LeewardError("store-unavailable", `${chosen.call.method} failed.`));
    } else await chosen.finish();
  }

  return {
    clock: { now: () => nowMs },
    timer: (worker) => ({
      pause: (durationMs) =>
        new Promise((resolve) => {
          pausing.push({ worker, untilMs: nowMs + durationMs, resolve });
        }),
    }),
    around: (worker) => async (call, run) => {
      // A crashed worker waits forever: it never runs again.
      if (crashed.has(worker)) return new Promise(() => undefined);
      return new Promise((resolve, reject) => {
        waiting.push({
          worker,
          call,
          land: async () => {
            await run().catch(() => undefined);
          },
          finish: () => run().then(resolve, reject),
          fail: reject,
        });
      });
    },
    async step() {
      stepCount += 1;
      nowMs += STEP_MS;
      const due = late.filter((each) => each.atStep <= stepCount);
      late = late.filter((each) => each.atStep > stepCount);
      for (const each of due) await each.land();
      const awake = pausing.filter(
        ({ worker, untilMs }) =>
          untilMs <= nowMs && !crashed.has(worker) && (stalledUntil.get(worker) ?? 0) <= stepCount,
      );
      pausing = pausing.filter((each) => !awake.includes(each));
      for (const { resolve } of awake) resolve();
      if (awake.length > 0) await drain();
      const ready = waiting.filter(({ worker }) => (stalledUntil.get(worker) ?? 0) <= stepCount);
      if (ready.length > 0) {
        const chosen = random.pick(ready);
        waiting = waiting.filter((each) => each !== chosen);
        await execute(chosen);
      }
      await drain();
    },
    crash(worker) {
      crashed.add(worker);
      for (const each of waiting)
        if (each.worker === worker && each.call.kind === "write" && random.chance(0.5)) delay(each.land);
      waiting = waiting.filter((each) => each.worker !== worker);
    },
    stall(worker, steps) {
      stalledUntil.set(worker, stepCount + steps);
    },
    async landAll() {
      for (const each of random.shuffle(late)) await each.land();
      late = [];
      await drain();
    },
    heal() {
      active = { timeoutChance: 0, readFailureChance: 0, busyChance: 0, lateSteps: faults.lateSteps };
    },
  };
}

/** Lets every promise that can settle do so: between port calls the engine only settles promises. */
async function drain(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}
