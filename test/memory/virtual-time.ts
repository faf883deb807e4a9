import type { Clock } from "../../mobility/system/clock.ts";
import type { Random } from "./random.ts";

/**
 * Time that advances when nothing more can happen at its moment: hours of waiting cost nothing, and the same seed gives
 * the same order.
 */
export interface VirtualTime {
  readonly nowMs: number;
  /** One process's time; after `kill` none of its timers fire. */
  process(): { readonly clock: Clock; kill(): void };
  /** Does the work after up to `maxMs`: answers of a medium or a network come in any order. */
  soon(work: () => void, maxMs?: number): void;
  /** Runs the next event and all its immediate consequences; false when nothing waits for time. */
  step(): Promise<boolean>;
  /** Steps until it is true, at most `limit` times; false if it never was. */
  until(isDone: () => boolean, limit?: number): Promise<boolean>;
  /** Steps until the work has ended. */
  finish<Result>(work: Promise<Result>, limit?: number): Promise<Result>;
}

interface Waiting {
  readonly atMs: number;
  readonly order: number;
  readonly work: () => void;
}

const LIMIT = 100_000;
/** Waits until everything that can settle has: between two steps only promises are under way. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

export function createVirtualTime(startMs: number, random: Random): VirtualTime {
  let nowMs = startMs;
  let order = 0;
  /** A heap would be faster for thousands of items; there are some dozens. */
  let waiting: Waiting[] = [];
  const add = (waitMs: number, work: () => void): (() => void) => {
    order += 1;
    const entry: Waiting = { atMs: nowMs + Math.max(0, waitMs), order, work };
    let at = waiting.length;
    while (at > 0 && (waiting[at - 1]?.atMs ?? 0) > entry.atMs) at -= 1;
    waiting.splice(at, 0, entry);
    return () => void (waiting = waiting.filter((each) => each !== entry));
  };
  const time: VirtualTime = {
    get nowMs() {
      return nowMs;
    },
    process: () => {
      let alive = true;
      const after = (waitMs: number, work: () => void): (() => void) =>
        alive ? add(waitMs, () => alive && work()) : () => undefined;
      return {
        clock: {
          now: () => nowMs,
          monotonicMs: () => nowMs - startMs,
          after,
          turn: () => new Promise((resolve) => void after(0, resolve)),
        },
        kill: () => void (alive = false),
      };
    },
    soon: (work, maxMs = 0) => void add(random.below(maxMs + 1), work),
    step: async () => {
      const next = waiting.shift();
      if (next !== undefined) {
        nowMs = Math.max(nowMs, next.atMs);
        next.work();
      }
      await settled();
      return next !== undefined;
    },
    until: async (isDone, limit = LIMIT) => {
      for (let left = limit; left > 0 && !isDone(); left -= 1) await time.step();
      return isDone();
    },
    finish: async (work, limit = LIMIT) => {
      let ended = false;
      const over = (): void => void (ended = true);
      work.then(over, over);
      // Work that needs no time takes none: a step could skip an hour.
      await settled();
      if (!(await time.until(() => ended, limit))) throw new Error("the work never ends");
      return work;
    },
  };
  return time;
}
