import { describe, expect, it } from "vitest";
import { createLag } from "../../mobility/service/lag.ts";
import { createSourceClock, type SourceClock } from "../../mobility/service/source-clock.ts";
import { CLOCK_SKEW_WARNING_MS } from "../../replication/limits.ts";
import { createRandom } from "../memory/random.ts";
import { createVirtualTime } from "../memory/virtual-time.ts";

const NOW = 1_750_000_000_000;
const CENTURY = Date.UTC(2099, 0, 1);

interface Told {
  readonly isBelieved: boolean;
  readonly aheadMs: number;
}

function clockOf(own: { nowMs: number; monotonicMs: number }): {
  readonly clock: SourceClock;
  readonly changes: Told[];
} {
  const { clock } = createVirtualTime(0, createRandom(1)).process();
  const changes: Told[] = [];
  const source = createSourceClock(
    { ...clock, now: () => own.nowMs, monotonicMs: () => own.monotonicMs },
    (isBelieved, aheadMs) => changes.push({ isBelieved, aheadMs }),
  );
  return { clock: source, changes };
}

describe("the clock of a source machine", () => {
  it("is its own until the control plane has said what time it is", () => {
    const { clock } = clockOf({ nowMs: CENTURY, monotonicMs: 0 });
    expect([clock.now(), clock.latestMs()]).toEqual([CENTURY, Number.POSITIVE_INFINITY]);
  });

  it("is its own while it agrees with the control plane's, however that was long ago", () => {
    const own = { nowMs: NOW + CLOCK_SKEW_WARNING_MS, monotonicMs: 0 };
    const { clock, changes } = clockOf(own);
    clock.told(NOW);
    expect(clock.now()).toBe(NOW + CLOCK_SKEW_WARNING_MS);
    own.nowMs += 3_600_000;
    own.monotonicMs += 3_600_000;
    expect(clock.now()).toBe(NOW + CLOCK_SKEW_WARNING_MS + 3_600_000);
    expect(changes).toEqual([]);
  });

  it.each([CENTURY, 0, NOW - CLOCK_SKEW_WARNING_MS - 1])(
    "is the control plane's, and goes on with it, when its own is wrong (%i)",
    (nowMs) => {
      const own = { nowMs, monotonicMs: 500 };
      const { clock, changes } = clockOf(own);
      clock.told(NOW);
      expect(clock.now()).toBe(NOW);
      own.monotonicMs += 1000.4;
      own.nowMs += 1000;
      expect([clock.now(), clock.latestMs()]).toEqual([NOW + 1000, NOW + 1000.4 + CLOCK_SKEW_WARNING_MS]);
      clock.told(NOW + 1000);
      expect(changes).toEqual([{ isBelieved: false, aheadMs: nowMs - NOW }]);
      expect(clock.aheadMs()).toBe(nowMs - NOW);
      // It was set right.
      own.nowMs = NOW + 2000;
      own.monotonicMs += 1000;
      expect(clock.now()).toBe(NOW + 2000);
      expect(clock.aheadMs()).toBeUndefined();
      clock.told(NOW + 2000);
      expect(changes).toHaveLength(2);
      expect(changes[1]).toEqual({ isBelieved: true, aheadMs: 0 });
    },
  );

  it("that jumps between two answers is found out at once", () => {
    const own = { nowMs: NOW, monotonicMs: 0 };
    const { clock } = clockOf(own);
    clock.told(NOW);
    own.nowMs = CENTURY;
    own.monotonicMs = 2000;
    expect(clock.now()).toBe(NOW + 2000);
  });
});

describe("the lag", () => {
  it("is not hidden by a time that has not come yet", () => {
    let nowMs = CENTURY;
    const lag = createLag(() => nowMs);
    const end = (epoch: number) => ({ stream: 1, epoch, checksum: "" });
    lag.sealed(end(1), CENTURY);
    lag.uploaded(end(1));
    expect(lag.now(false)).toBe(0);
    nowMs = NOW;
    lag.sealed(end(2), NOW - 5000);
    expect(lag.now(false)).toBe(0);
    lag.uploaded(end(2));
    nowMs = NOW + 1000;
    expect(lag.now(false)).toBe(1000);
  });
});
