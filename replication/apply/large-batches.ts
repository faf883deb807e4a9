import type { Claim } from "./claim.ts";
import { oneByOne } from "./lanes.ts";
import { LARGE_BATCH_LOOK_MS } from "./limits.ts";

/**
 * The right of a process to hold a large batch in memory: a few at once, while any number of items is kept up with small ones. Without it the memory of an
 * instance would have to hold the largest batch for each item that may be worked on at a time.
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

/** Waits for the right with the claim kept; undefined when the slice is over before. */
export async function waitForLargeBatch(claim: Claim): Promise<(() => void) | undefined> {
  const { context, largeBatches } = claim.open;
  for (;;) {
    const end = largeBatches.tryBegin();
    if (end !== undefined || context.clock.now() >= context.deadlineMs) return end;
    await context.timer.pause(LARGE_BATCH_LOOK_MS);
    await claim.keep();
  }
}
