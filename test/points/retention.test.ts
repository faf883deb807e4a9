import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Consistency } from "../../replication/delta/delta.ts";
import { type RetainedPoint, expiredPoints } from "../../replication/points/retention.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = 1_768_435_200_000;

let made = 0;
function pointAt(targetTimeMs: number, consistency: Consistency = "crash"): RetainedPoint {
  made += 1;
  return { pointId: `p${made}`, targetTimeMs, consistency };
}

function kept(points: readonly RetainedPoint[], retentionMs: number, nowMs: number): readonly RetainedPoint[] {
  const expired = new Set(expiredPoints(points, retentionMs, nowMs));
  return points.filter((point) => !expired.has(point));
}

/** A point every five minutes for twenty days, pruned after each. */
function steadyState(retentionMs: number): readonly RetainedPoint[] {
  let points: readonly RetainedPoint[] = [];
  for (let atMs = NOW_MS - 20 * DAY_MS; atMs <= NOW_MS; atMs += 5 * MINUTE_MS) points = kept([...points, pointAt(atMs)], retentionMs, atMs);
  return points;
}

describe("Site Recovery's pruning table at steady state, points every 5 minutes", () => {
  // Reference site-recovery 4, "Crash points at steady state (computed)"; one more or less where a bucket lies across an edge.
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
    expect(day.filter((age) => age > 2 * HOUR_MS).every((age, at, all) => at === 0 || (all[at - 1] ?? 0) - age === HOUR_MS)).toBe(true);
  });

  it("app-consistent points have tiers of their own", () => {
    const base = NOW_MS - 6 * HOUR_MS;
    const crash = pointAt(base);
    const app = pointAt(base + MINUTE_MS, "application");
    const laterCrash = pointAt(base + 2 * MINUTE_MS);
    const laterApp = pointAt(base + 3 * MINUTE_MS, "application");
    expect(kept([crash, app, laterCrash, laterApp, pointAt(NOW_MS)], DAY_MS, NOW_MS).slice(0, -1)).toEqual([crash, app]);
  });
});

describe("when no new point can be made", () => {
  it("old ones are kept past the window, however late it is", () => {
    const points = steadyState(3 * DAY_MS);
    for (const laterMs of [HOUR_MS, 30 * DAY_MS, 3650 * DAY_MS]) expect(expiredPoints(points, 3 * DAY_MS, NOW_MS + laterMs)).toEqual([]);
  });

  it("the window moves on with the next point", () => {
    const points = [...steadyState(DAY_MS), pointAt(NOW_MS + 10 * DAY_MS)];
    expect(kept(points, DAY_MS, NOW_MS + 10 * DAY_MS)).toHaveLength(1);
  });

  it("a clock that jumps back, or one point from the future, removes nothing else", () => {
    const points = steadyState(DAY_MS);
    expect(expiredPoints(points, DAY_MS, NOW_MS - 5 * DAY_MS)).toEqual([]);
    expect(expiredPoints([...points, pointAt(NOW_MS + 1000 * DAY_MS)], DAY_MS, NOW_MS)).toEqual([]);
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
        pruned = kept([...pruned, point], hours * HOUR_MS, atMs);
        // A look now and then: each finds the edges of the tiers at other places of the buckets.
        const once = all.length % 29 === 0 ? kept(all, hours * HOUR_MS, atMs) : pruned;
        if (once.length !== pruned.length) differences.push(atMs);
      }
      expect(differences).toEqual([]);
      expect(pruned).toEqual(kept(all, hours * HOUR_MS, NOW_MS));
    },
  );
});

describe("for any points and any policy", () => {
  const consistencies: readonly Consistency[] = ["crash", "file-system", "application"];
  const arbitraryPoints = fc
    .array(fc.record({ ageMs: fc.integer({ min: 0, max: 20 * DAY_MS }), kind: fc.constantFrom(...consistencies) }), { maxLength: 80 })
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
      fc.property(arbitraryPoints, retention, fc.integer({ min: -DAY_MS, max: 99 * DAY_MS }), (points, retentionMs, lateMs) => {
        const newest = byTime(points).at(-1);
        expect(expiredPoints(points, retentionMs, NOW_MS + lateMs)).not.toContain(newest);
      }),
    );
  });

  it("the order in which points are listed does not matter", () => {
    fc.assert(
      fc.property(arbitraryPoints, retention, (points, retentionMs) => {
        expect(expiredPoints(points.toReversed(), retentionMs, NOW_MS)).toEqual(expiredPoints(points, retentionMs, NOW_MS));
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
            left = [...left, ...points.filter((point) => point.targetTimeMs > seenMs && point.targetTimeMs <= momentMs)];
            left = kept(left, retentionMs, momentMs);
            seenMs = momentMs;
          }
          expect(byTime(left)).toEqual(byTime(kept(points, retentionMs, NOW_MS)));
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
        const left = kept(points, retentionMs, NOW_MS).filter((point) => point.consistency === "crash");
        const inside = crash.filter((point) => (newest?.targetTimeMs ?? 0) - point.targetTimeMs <= retentionMs - 4 * HOUR_MS);
        expect(inside.every((point) => left.some((other) => Math.abs(other.targetTimeMs - point.targetTimeMs) < 4 * HOUR_MS))).toBe(true);
      }),
    );
  });
});
