import { pause } from "./clock.ts";
import type { Clock } from "./clock.ts";

/** Spreads work over time so that it never exceeds a rate, whoever takes part in it. */
export interface Pace {
  /** Done when these bytes may go. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
  /** How long these bytes take alone; 0 without a limit. */
  durationMs(bytes: number): number;
}

/** Undefined means without limit. */
export function createPace(bytesPerSecond: number | undefined, clock: Pick<Clock, "monotonicMs" | "after">): Pace {
  if (bytesPerSecond === undefined) return { take: () => Promise.resolve(), durationMs: () => 0 };
  const durationMs = (bytes: number): number => (bytes * 1000) / bytesPerSecond;
  let freeMs = 0;
  return {
    durationMs,
    take: async (bytes, signal) => {
      const startMs = Math.max(clock.monotonicMs(), freeMs);
      freeMs = startMs + durationMs(bytes);
      const waitMs = startMs - clock.monotonicMs();
      if (waitMs > 0) await pause(clock, waitMs, signal);
    },
  };
}
