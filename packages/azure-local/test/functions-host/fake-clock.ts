import type { Clock } from "../../functions-host/clock.ts";

/** A clock that moves only when the test moves it. */
export interface FakeClock extends Clock {
  /** Moves the time, waking every sleeper at its own moment, and lets what they set off run until it waits again. */
  advance(durationMs: number): Promise<void>;
}

export function fakeClock(startMs: number): FakeClock {
  let nowMs = startMs;
  const sleepers = new Map<() => void, number>();
  return {
    nowMs: () => nowMs,
    sleep: (durationMs, signal) =>
      new Promise((resolve) => {
        const wake = (): void => {
          sleepers.delete(wake);
          resolve();
        };
        if (signal.aborted) return resolve();
        signal.addEventListener("abort", wake, { once: true });
        sleepers.set(wake, nowMs + durationMs);
      }),
    async advance(durationMs) {
      const endMs = nowMs + durationMs;
      await settle();
      for (;;) {
        const [next] = [...sleepers]
          .filter(([, atMs]) => atMs <= endMs)
          .toSorted(([, left], [, right]) => left - right);
        if (next === undefined) break;
        nowMs = Math.max(nowMs, next[1]);
        next[0]();
        await settle();
      }
      nowMs = endMs;
    },
  };
}

/** Runs everything that is ready, through several turns of the event loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
