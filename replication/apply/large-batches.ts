import { oneByOne } from "../concurrency.ts";

/**
 * The right of a process to hold a large batch in memory: a few at once, while any number of items is kept up with
 * small ones. Without it the memory of an instance would have to hold the largest batch for each item that may be
 * worked on at a time.
 */
export interface LargeBatches {
  /** Undefined when none is free; else what gives it back. */
  tryBegin(): (() => void) | undefined;
  /** Runs one work of the process after the other: what is read only to be compared is in memory once. */
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

/** For runs that share their process with nobody. */
export const UNBOUNDED: LargeBatches = createLargeBatches(Number.POSITIVE_INFINITY);
