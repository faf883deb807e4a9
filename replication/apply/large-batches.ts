import { oneByOne } from "../concurrency.ts";

/**
 * The right of a process to hold a large batch in memory: only a few at once, while small batches keep up any number of
 * items. Without this limit an instance would need memory for the largest batch of every item it may work on at a time.
 */
export interface LargeBatches {
  /** Undefined when none is free; otherwise a function that gives it back. */
  tryBegin(): (() => void) | undefined;
  /** Runs one task of the process at a time: data that is read only for comparison is in memory once. */
  alone<Result>(work: () => Promise<Result>): Promise<Result>;
}

export function createLargeBatches(atOnce: number): LargeBatches {
  let free = atOnce;
  return {
    alone: oneByOne(),
    tryBegin: () => {
      if (free === 0) return undefined;
      free -= 1;
      let held = true;
      return () => {
        if (held) free += 1;
        held = false;
      };
    },
  };
}

/** For runs that do not share their process. */
export const UNBOUNDED: LargeBatches = createLargeBatches(Number.POSITIVE_INFINITY);
