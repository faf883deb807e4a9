import type { Clock } from "../../mobility/system/clock.ts";
import type { Random } from "./random.ts";

/**
 * Time that goes on when nothing can happen any more at its moment: hours of waiting cost nothing, and the same seed
 * gives the same order.
 */
export interface VirtualTime {
  readonly nowMs: number;
  /** Time as one process knows it; nothing of it happens any more after `kill`. */
  process(): { readonly clock: Clock; kill(): void };
  /** Does the work after up to `maxMs`: answers of a medium or a network come in any order. */
  soon(work: () => void, maxMs?: number): void;
  /** Lets the next thing happen, and all that follows from it at once; false when nothing waits for time. */
  step(): Promise<boolean>;
  /** Steps until it is true, at most `limit` times; false when it never became true. */
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
/** Everything that can settle has done so: between two steps nothing but promises is under way. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

export function createVirtualTime(startMs: number, random: Random): VirtualTime {
  let nowMs = startMs;
  let order = 0;
  /** A heap would be faster for thousands that wait; there are some dozens. */
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
      // Work that needs no time takes none: a step could bring the end of an hour.
      await settled();
      if (!(await time.until(() => ended, limit))) throw new Error("the work never ends");
      return work;
    },
  };
  return time;
}
