import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Consistency } from "../../replication/delta/delta.ts";
import { POINT_SETTLE_MS } from "../../replication/limits.ts";
import { type RetainedPoint, expiredPoints } from "../../replication/points/retention.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = 1_768_435_200_000;

let made = 0;
/** Its position follows from its time, as with a clock that is never set; `epoch` says otherwise. */
function pointAt(targetTimeMs: number, consistency: Consistency = "crash", epoch = targetTimeMs): RetainedPoint {
  made += 1;
  return { pointId: `p${String(made).padStart(9, "0")}`, targetTimeMs, consistency, position: { stream: 1, epoch } };
}

/** Of a policy that takes points this often; a day explains every gap that a test leaves without a word. */
function policyOf(
  retentionMs: number,
  pointIntervalMs = 5 * MINUTE_MS,
): { readonly retentionMs: number; readonly pointIntervalMs: number } {
  return { retentionMs, pointIntervalMs };
}

function kept(
  points: readonly RetainedPoint[],
  retentionMs: number,
  nowMs: number,
  intervalMs?: number,
): readonly RetainedPoint[] {
  const expired = new Set(expiredPoints(points, policyOf(retentionMs, intervalMs), nowMs));
  return points.filter((point) => !expired.has(point));
}

/** A point every five minutes for twenty days, pruned after each. */
function steadyState(retentionMs: number): readonly RetainedPoint[] {
  let points: readonly RetainedPoint[] = [];
  for (let atMs = NOW_MS - 20 * DAY_MS; atMs <= NOW_MS; atMs += 5 * MINUTE_MS)
    points = kept([...points, pointAt(atMs)], retentionMs, atMs);
  return points;
}

describe("Site Recovery's pruning table at steady state, points every 5 minutes", () => {
  // Computed from Site Recovery's pruning table; one more or less where a bucket lies across an edge.
  it.each([
    [1, 46],
    [3, 59],
    [7, 107],
    [15, 155],
  ])("%i days keep about %i points", (days, count) => {
    const found = steadyState(days * DAY_MS).length;
    expect(Math.abs(found - count)).toBeLessThanOrEqual(2);
  });

  it("0 keeps the latest only", () => {
    expect(steadyState(0).map((point) => point.targetTimeMs)).toEqual([NOW_MS]);
  });

  it("keeps every point of the last two hours, then one per hour, one per two hours, one per four", () => {
    const ages = steadyState(15 * DAY_MS).map((point) => NOW_MS - point.targetTimeMs);
    const gaps = (fromMs: number, toMs: number): readonly number[] => {
      const inside = ages.filter((age) => age > fromMs && age <= toMs);
      return [...new Set(inside.slice(1).map((age, at) => (inside[at] ?? 0) - age))];
    };
    expect(gaps(-1, 2 * HOUR_MS)).toEqual([5 * MINUTE_MS]);
    expect(gaps(2 * HOUR_MS, 7 * DAY_MS)).toEqual([2 * HOUR_MS]);
    expect(gaps(7 * DAY_MS, 15 * DAY_MS)).toEqual([4 * HOUR_MS]);
    expect(Math.max(...ages)).toBeGreaterThan(15 * DAY_MS - 4 * HOUR_MS);
    expect(Math.max(...ages)).toBeLessThanOrEqual(15 * DAY_MS);
    const day = steadyState(DAY_MS).map((point) => NOW_MS - point.targetTimeMs);
    expect(
      day.filter((age) => age > 2 * HOUR_MS).every((age, at, all) => at === 0 || (all[at - 1] ?? 0) - age === HOUR_MS),
    ).toBe(true);
  });

  it("app-consistent points have tiers of their own", () => {
    const base = NOW_MS - 6 * HOUR_MS;
    const crash = pointAt(base);
    const app = pointAt(base + MINUTE_MS, "application");
    const laterCrash = pointAt(base + 2 * MINUTE_MS);
    const laterApp = pointAt(base + 3 * MINUTE_MS, "application");
    expect(kept([crash, app, laterCrash, laterApp, pointAt(NOW_MS)], DAY_MS, NOW_MS, 3 * HOUR_MS).slice(0, -1)).toEqual(
      [crash, app],
    );
  });
});

/** Points by the given clock, one for each interval: the position rises whatever the clock says. */
function byClock(times: readonly number[], firstEpoch = 1): readonly RetainedPoint[] {
  return times.map((timeMs, index) => pointAt(timeMs, "crash", firstEpoch + index));
}
const every = (fromMs: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => fromMs + index * 5 * MINUTE_MS);

describe("the border of the two hours", () => {
  const at = (ageMs: number): RetainedPoint => pointAt(NOW_MS - ageMs);

  it("belongs to them: a point of exactly this age stays, however many its bucket has", () => {
    // Half an hour on, so that no bucket is cut at the border.
    const nowMs = NOW_MS + 30 * MINUTE_MS;
    const points = [2 * HOUR_MS + 1, 2 * HOUR_MS, HOUR_MS, 0].map((ageMs) => pointAt(nowMs - ageMs));
    expect(kept(points, DAY_MS, nowMs, HOUR_MS)).toEqual(points);
  });

  it("is passed a millisecond later: of two in one bucket the older one stays", () => {
    const points = [at(2 * HOUR_MS + 2), at(2 * HOUR_MS + 1), at(HOUR_MS), at(0)];
    const oneBucket = points.slice(0, 2).map(({ targetTimeMs }) => Math.floor(targetTimeMs / HOUR_MS));
    expect(oneBucket[0]).toBe(oneBucket[1]);
    expect(kept(points, DAY_MS, NOW_MS, HOUR_MS)).toEqual([points[0], ...points.slice(2)]);
  });
});

describe("when no new point can be made", () => {
  it("old ones are kept past the window, however late it is", () => {
    const points = steadyState(3 * DAY_MS);
    for (const laterMs of [HOUR_MS, 30 * DAY_MS, 3650 * DAY_MS]) {
      expect(expiredPoints(points, policyOf(3 * DAY_MS), NOW_MS + laterMs)).toEqual([]);
    }
  });

  it("the window moves on with new points, which have to fill it", () => {
    const before = steadyState(DAY_MS);
    const laterMs = NOW_MS + 10 * DAY_MS;
    // The first point after an outage lets go what one point may; who had a day of points before has it still.
    expect(before.length - kept([...before, pointAt(laterMs)], DAY_MS, laterMs).length).toBeLessThanOrEqual(2);
    let points = before;
    for (let atMs = laterMs; atMs <= laterMs + DAY_MS; atMs += 5 * MINUTE_MS)
      points = kept([...points, pointAt(atMs)], DAY_MS, atMs);
    expect(points.filter(({ targetTimeMs }) => targetTimeMs < laterMs)).toEqual([]);
  });
});

describe("a clock that is set", () => {
  /** The points of 22 h, as thinning left them: nothing of them is near the end of a window of a day. */
  const before = steadyState(DAY_MS).filter(({ targetTimeMs }) => NOW_MS - targetTimeMs <= 22 * HOUR_MS);
  const expiredBefore = (later: readonly RetainedPoint[], nowMs: number): readonly RetainedPoint[] =>
    expiredPoints([...before, ...later], policyOf(DAY_MS), nowMs).filter((point) => before.includes(point));
  /**
   * What goes because so many points were taken since, by a clock that was not set: those that are thinned behind the
   * two hours.
   */
  const dueAfter = (count: number): readonly RetainedPoint[] =>
    expiredBefore(byClock(every(NOW_MS + 5 * MINUTE_MS, count), NOW_MS + 100), NOW_MS + count * 5 * MINUTE_MS);

  it.each([
    ["ten days", 10 * DAY_MS],
    ["a century", 36_500 * DAY_MS],
  ])(
    "ahead by %s, with points taken by it, lets go no more than the points do, neither then nor when it has come back",
    (_name, jumpMs) => {
      const ahead = byClock(every(NOW_MS + jumpMs, 3), NOW_MS + 100);
      expect(before.length).toBeGreaterThan(40);
      expect(expiredBefore(ahead, NOW_MS + jumpMs + HOUR_MS)).toEqual(dueAfter(3));
      const back = byClock(every(NOW_MS + 20 * MINUTE_MS, 3), NOW_MS + 200);
      expect(expiredBefore([...ahead, ...back], NOW_MS + 30 * MINUTE_MS)).toEqual(dueAfter(5));
    },
  );

  it("back by hours, with points taken by it, lets go no more either, neither then nor when it is right again", () => {
    const behind = byClock(every(NOW_MS - 5 * HOUR_MS, 3), NOW_MS + 100);
    expect(expiredBefore(behind, NOW_MS - 4 * HOUR_MS)).toEqual(dueAfter(2));
    const again = byClock(every(NOW_MS + 20 * MINUTE_MS, 3), NOW_MS + 200);
    expect(expiredBefore([...behind, ...again], NOW_MS + 30 * MINUTE_MS)).toEqual(dueAfter(5));
  });

  it("leaves the newest content as the newest point, whatever its time says", () => {
    const ahead = pointAt(NOW_MS + 1000 * DAY_MS, "crash", 100);
    const later = pointAt(NOW_MS, "crash", 160);
    const latest = pointAt(NOW_MS + 5 * MINUTE_MS, "crash", 220);
    expect(kept([ahead, later, latest], 0, NOW_MS + 10 * MINUTE_MS)).toEqual([latest]);
  });

  it("keeps nothing for ever: once the window is full of points by the right clock, those by the wrong one are gone", () => {
    let points: readonly RetainedPoint[] = [...before, ...byClock(every(NOW_MS + 1000 * DAY_MS, 3), NOW_MS + 100)];
    for (let step = 0; step <= 26 * 12; step += 1) {
      const atMs = NOW_MS + step * 5 * MINUTE_MS;
      points = kept([...points, pointAt(atMs, "crash", NOW_MS + 200 + step)], DAY_MS, atMs);
    }
    expect(points.filter(({ position }) => position.epoch < NOW_MS + 200)).toEqual([]);
    expect(points.length).toBeLessThan(60);
  });
});

describe("points whose requests may not have settled", () => {
  it("stay, whatever the retention, until they have", () => {
    const points = byClock([NOW_MS, NOW_MS + 1_000, NOW_MS + 2_000]);
    expect(kept(points, 0, NOW_MS + POINT_SETTLE_MS - 1, 1_000)).toEqual(points);
    expect(kept(points, 0, NOW_MS + POINT_SETTLE_MS, 1_000)).toEqual(points.slice(1));
  });
});

describe("dense points and awkward windows", () => {
  it.each([1, 2.5, 2.99, 3, 24, 25, 7 * 24 + 1, 7 * 24 + 3.9, 7 * 24 + 4, 15 * 24])(
    "a window of %d hours: pruning after every point ends in the same points as pruning once",
    (hours) => {
      const all: RetainedPoint[] = [];
      const differences: number[] = [];
      let pruned: readonly RetainedPoint[] = [];
      for (let atMs = NOW_MS - 16 * DAY_MS; atMs <= NOW_MS; atMs += 17 * MINUTE_MS) {
        const point = pointAt(atMs);
        all.push(point);
        pruned = kept([...pruned, point], hours * HOUR_MS, atMs, 17 * MINUTE_MS);
        // A look now and then: each finds the edges of the tiers at other places of the buckets.
        const once = all.length % 29 === 0 ? kept(all, hours * HOUR_MS, atMs, 17 * MINUTE_MS) : pruned;
        if (once.length !== pruned.length) differences.push(atMs);
      }
      expect(differences).toEqual([]);
      expect(pruned).toEqual(kept(all, hours * HOUR_MS, NOW_MS, 17 * MINUTE_MS));
    },
  );
});

describe("for any points and any policy", () => {
  /** Of a policy by which no gap between points is one. */
  const RARE_MS = 30 * DAY_MS;
  const consistencies: readonly Consistency[] = ["crash", "file-system", "application"];
  const arbitraryPoints = fc
    .array(fc.record({ ageMs: fc.integer({ min: 0, max: 20 * DAY_MS }), kind: fc.constantFrom(...consistencies) }), {
      maxLength: 80,
    })
    .map((list) => list.map(({ ageMs, kind }) => pointAt(NOW_MS - ageMs, kind)));
  const retention = fc.oneof(
    fc.constantFrom(
      0,
      HOUR_MS,
      2.5 * HOUR_MS,
      3 * HOUR_MS,
      DAY_MS,
      7 * DAY_MS,
      7 * DAY_MS + HOUR_MS,
      7 * DAY_MS + 4 * HOUR_MS,
      15 * DAY_MS,
    ),
    fc.integer({ min: 0, max: 15 * DAY_MS }),
  );
  const byTime = (points: readonly RetainedPoint[]): readonly RetainedPoint[] =>
    points.toSorted((left, right) => left.targetTimeMs - right.targetTimeMs || (left.pointId < right.pointId ? -1 : 1));

  it("the newest point always stays", () => {
    fc.assert(
      fc.property(
        arbitraryPoints,
        retention,
        fc.integer({ min: -DAY_MS, max: 99 * DAY_MS }),
        (points, retentionMs, lateMs) => {
          const newest = byTime(points).at(-1);
          expect(expiredPoints(points, policyOf(retentionMs, RARE_MS), NOW_MS + lateMs)).not.toContain(newest);
        },
      ),
    );
  });

  it("the order in which points are listed does not matter", () => {
    fc.assert(
      fc.property(arbitraryPoints, retention, (points, retentionMs) => {
        const policy = policyOf(retentionMs, RARE_MS);
        expect(expiredPoints(points.toReversed(), policy, NOW_MS)).toEqual(expiredPoints(points, policy, NOW_MS));
      }),
    );
  });

  it("pruning at any moments on the way ends in the same points as pruning once at the end", () => {
    fc.assert(
      fc.property(
        arbitraryPoints,
        retention,
        fc.array(fc.integer({ min: 0, max: 20 * DAY_MS }), { maxLength: 12 }),
        (points, retentionMs, ages) => {
          const moments = ages.map((ageMs) => NOW_MS - ageMs).toSorted((left, right) => left - right);
          let left: readonly RetainedPoint[] = [];
          let seenMs = Number.NEGATIVE_INFINITY;
          for (const momentMs of [...moments, NOW_MS]) {
            left = [
              ...left,
              ...points.filter((point) => point.targetTimeMs > seenMs && point.targetTimeMs <= momentMs),
            ];
            left = kept(left, retentionMs, momentMs, RARE_MS);
            seenMs = momentMs;
          }
          expect(byTime(left)).toEqual(byTime(kept(points, retentionMs, NOW_MS, RARE_MS)));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("no stretch of the window as long as two buckets loses all points that it had", () => {
    fc.assert(
      fc.property(arbitraryPoints, fc.integer({ min: DAY_MS, max: 15 * DAY_MS }), (points, retentionMs) => {
        const newest = byTime(points).at(-1);
        const crash = points.filter((point) => point.consistency === "crash");
        const left = kept(points, retentionMs, NOW_MS, RARE_MS).filter((point) => point.consistency === "crash");
        const inside = crash.filter(
          (point) => (newest?.targetTimeMs ?? 0) - point.targetTimeMs <= retentionMs - 4 * HOUR_MS,
        );
        expect(
          inside.every((point) =>
            left.some((other) => Math.abs(other.targetTimeMs - point.targetTimeMs) < 4 * HOUR_MS),
          ),
        ).toBe(true);
      }),
    );
  });
});
