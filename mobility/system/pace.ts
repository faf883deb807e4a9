import { pause, type Clock } from "./clock.ts";

/** Spreads work over time so that all callers together never exceed a rate. */
export interface Pace {
  /** Resolves when these bytes may be sent. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
  /** How long these bytes take alone; 0 without a limit. */
  durationMs(bytes: number): number;
}

/** Undefined means no limit. */
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
