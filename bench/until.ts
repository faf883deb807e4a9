import { setTimeout as sleep } from "node:timers/promises";

/** How long a figure waits for something, and how often it looks, both in milliseconds. */
interface Patience {
  readonly maxMs: number;
  readonly lookMs: number;
}

/** Asks until the answer is yes. Throws when it never is. */
export async function until(what: string, { maxMs, lookMs }: Patience, reached: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + maxMs;
  while (!(await reached())) {
    if (performance.now() > endMs) throw new Error(`Not ${what} after ${maxMs / 1000} s.`);
    await sleep(lookMs);
  }
}
