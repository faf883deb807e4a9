import { describe, expect, it, vi } from "vitest";
import { systemClock } from "../../mobility/system/clock.ts";
import { createPace } from "../../mobility/system/pace.ts";

describe("bandwidth limit", () => {
  it("lets bytes go at the rate, whoever takes them, and gives back no time that was not used", async () => {
    vi.useFakeTimers();
    try {
      const { signal } = new AbortController();
      const pace = createPace(1000, systemClock());
      const begun = Date.now();
      const ends: number[] = [];
      const take = async (bytes: number): Promise<void> => {
        await pace.take(bytes, signal);
        ends.push(Date.now() - begun);
      };
      const all = Promise.all([take(500), take(250), take(1000), take(1)]);
      await vi.advanceTimersByTimeAsync(10_000);
      await all;
      expect(ends).toEqual([0, 500, 750, 1750]);
      await Promise.all([take(100), vi.advanceTimersByTimeAsync(0)]);
      expect(ends.at(-1)).toBe(10_000);
      expect(pace.durationMs(250)).toBe(250);
    } finally {
      vi.useRealTimers();
    }
  });

  it("without a limit waits for nothing", async () => {
    const pace = createPace(undefined, systemClock());
    await pace.take(2 ** 40, new AbortController().signal);
    expect(pace.durationMs(2 ** 40)).toBe(0);
  });
});
