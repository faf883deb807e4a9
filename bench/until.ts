import { setTimeout as sleep } from "node:timers/promises";

/** How long a figure waits for something, and its poll interval, both in milliseconds. */
interface Patience {
  readonly maxMs: number;
  readonly lookMs: number;
}

/** Polls until the answer is true. Throws on time-out. */
export async function until(what: string, { maxMs, lookMs }: Patience, reached: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + maxMs;
  while (!(await reached())) {
    if (performance.now() > endMs) throw new Error(`Not ${what} after ${maxMs / 1000} s.`);
    await sleep(lookMs);
  }
}
