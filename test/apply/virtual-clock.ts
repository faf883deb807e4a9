import type { Clock, Timer } from "../../replication/ports.ts";

/** A clock that stands still while anything can run, and moves to the next timer when nothing can. */
export interface VirtualClock {
  readonly clock: Clock;
  readonly timer: Timer;
  /** Runs until the work has settled. Rejects when nothing is left that could settle it. */
  run<Result>(work: Promise<Result>): Promise<Result>;
  /** Moves the clock on by hand. */
  advance(durationMs: number): void;
}

export function createVirtualClock(startMs: number): VirtualClock {
  let nowMs = startMs;
  let waiting: { readonly atMs: number; readonly resolve: () => void }[] = [];
  return {
    clock: { now: () => nowMs },
    timer: {
      pause: (durationMs) =>
        new Promise((resolve) => {
          waiting.push({ atMs: nowMs + durationMs, resolve });
        }),
    },
    async run(work) {
      let settled = false;
      const done = (): void => {
        settled = true;
      };
      void work.then(done, done);
      for (;;) {
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
        if (settled) return work;
        const next = Math.min(...waiting.map(({ atMs }) => atMs));
        if (waiting.length === 0) throw new Error("nothing is under way and nothing is waited for");
        nowMs = Math.max(nowMs, next);
        const due = waiting.filter(({ atMs }) => atMs <= nowMs);
        waiting = waiting.filter(({ atMs }) => atMs > nowMs);
        for (const { resolve } of due) resolve();
      }
    },
    advance(durationMs) {
      nowMs += durationMs;
    },
  };
}
