import { setTimeout as delay } from "node:timers/promises";

/** Time as the host needs it; tests move it by hand. */
export interface Clock {
  /** Unix milliseconds. */
  nowMs(): number;
  /** Resolves after `durationMs`, or at once when `signal` aborts; never rejects. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
}

/** Node's timers overflow at 2^31 ms; longer sleeps check the clock in between. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  async sleep(durationMs, signal) {
    if (signal.aborted) return;
    try {
      await delay(Math.min(Math.max(durationMs, 0), LONGEST_SLEEP_MS), undefined, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  },
};
