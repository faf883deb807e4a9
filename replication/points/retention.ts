import type { Consistency } from "../delta/delta.ts";
import {
  POINT_OVERDUE_INTERVALS,
  POINT_OVERDUE_MIN_MS,
  POINT_SETTLE_MS,
  RETENTION_ALL_MS,
  RETENTION_DAY_BUCKET_MS,
  RETENTION_DAY_MS,
  RETENTION_LATE_BUCKET_MS,
  RETENTION_WEEK_BUCKET_MS,
  RETENTION_WEEK_MS,
} from "../limits.ts";
import type { ReplicationPolicy } from "../records/item.ts";
import { type PlacedPoint, byPosition } from "./order.ts";

/** What retention needs of a point; a manifest is one. */
export interface RetainedPoint extends PlacedPoint {
  readonly consistency: Consistency;
}

type Policy = Pick<ReplicationPolicy, "retentionMs" | "pointIntervalMs">;

/**
 * The points that retention lets go, oldest first. A pure function of the points, the policy and the target's
 * clock:
 *
 * 1. Points follow each other by their positions, whatever the clocks said. The newest always stays. With a retention
 *    of 0 it is the only one.
 * 2. Ages are counted back from the newest point, from each point to the one before. While points come in, that is the
 *    time that has passed; once none can be made, time stands still and old points stay past the window (Site
 *    Recovery's rule). A step that is longer than overdue points and thinning explain is an outage, or a clock that was
 *    set ahead, and counts as one interval; a step back counts nothing. A clock that jumps, ahead or back, with points
 *    taken by it or without, therefore makes nothing older than one more point does.
 * 3. A point older than the window goes.
 * 4. Points of the last 2 h, this age included, stay. Of the older ones the oldest of each bucket stays; buckets are
 *    cut at absolute times, 1 h wide when the window is at most a day, else 2 h wide, and 4 h wide for ages beyond 7
 *    days. Each kind of consistency has buckets of its own, and so have the points from each setting back of the clock
 *    to the next.
 * 5. Windows below 3 h are Leeward's own (Site Recovery counts days); everything inside such a window stays.
 * 6. No point goes before all requests that made it have settled (POINT_SETTLE_MS): a late copy of one would bring its
 *    manifest back.
 *
 * Because a bucket's first point is found before the window is looked at, and coarse buckets are unions of fine ones,
 * pruning often and pruning once end in the same points.
 */
export function expiredPoints<Point extends RetainedPoint>(
  points: readonly Point[],
  policy: Policy,
  nowMs: number,
): readonly Point[] {
  const ordered = points.toSorted(byPosition);
  const newest = ordered.at(-1);
  if (newest === undefined) return [];
  const ages = agesOf(ordered, policy);
  const settled = (point: Point, ageMs: number): boolean =>
    point !== newest && Math.max(ageMs, nowMs - point.targetTimeMs) >= POINT_SETTLE_MS;
  const taken = new Set<string>();
  let settings = 0;
  return ordered.filter((point, index) => {
    const ageMs = ages[index] ?? 0;
    if (point.targetTimeMs < (ordered[index - 1]?.targetTimeMs ?? 0)) settings += 1;
    if (policy.retentionMs <= 0) return settled(point, ageMs);
    const buckets = bucketWidthsMs(ageMs, policy.retentionMs).map(
      (widthMs) => `${settings}/${bucketOf(point, widthMs)}`,
    );
    const coarsest = buckets.at(-1);
    const thinned = coarsest !== undefined && taken.has(coarsest);
    // A late point takes its fine bucket too: its neighbours on this side of the seventh day were thinned beside it
    // long ago.
    for (const bucket of buckets) taken.add(bucket);
    return settled(point, ageMs) && (thinned || ageMs > policy.retentionMs);
  });
}

/** The age of each point, given in the order of their positions (rule 2). That of the newest is 0. */
function agesOf(ordered: readonly RetainedPoint[], { retentionMs, pointIntervalMs }: Policy): readonly number[] {
  const overdueMs = Math.max(pointIntervalMs * POINT_OVERDUE_INTERVALS, POINT_OVERDUE_MIN_MS);
  const ages: number[] = [];
  let ageMs = 0;
  let laterMs: number | undefined;
  for (const { targetTimeMs } of ordered.toReversed()) {
    const stepMs = Math.max(0, (laterMs ?? targetTimeMs) - targetTimeMs);
    // The next point before this one is missing only if it was thinned, so by the buckets of its own age: never one of
    // those that all stay.
    const nextMs = ageMs + overdueMs;
    const widthMs = widthOf(nextMs + widthOf(nextMs, retentionMs), retentionMs);
    ageMs += stepMs <= overdueMs + widthMs ? stepMs : pointIntervalMs;
    ages.push(ageMs);
    laterMs = targetTimeMs;
  }
  return ages.toReversed();
}

/**
 * The widths of the buckets that a point of this age lies in, fine to coarse; one point of the coarsest stays. Empty:
 * all stay.
 */
function bucketWidthsMs(ageMs: number, retentionMs: number): readonly number[] {
  if (ageMs <= RETENTION_ALL_MS || retentionMs < RETENTION_ALL_MS + RETENTION_DAY_BUCKET_MS) return [];
  if (retentionMs <= RETENTION_DAY_MS) return [RETENTION_DAY_BUCKET_MS];
  // A window that ends inside the first late bucket has none: its first point would leave the window before the others
  // are thinned.
  const late = ageMs > RETENTION_WEEK_MS && retentionMs >= RETENTION_WEEK_MS + RETENTION_LATE_BUCKET_MS;
  return late ? [RETENTION_WEEK_BUCKET_MS, RETENTION_LATE_BUCKET_MS] : [RETENTION_WEEK_BUCKET_MS];
}

/** How far apart thinning leaves points of this age. */
const widthOf = (ageMs: number, retentionMs: number): number => bucketWidthsMs(ageMs, retentionMs).at(-1) ?? 0;

function bucketOf(point: RetainedPoint, widthMs: number): string {
  return `${point.consistency}/${widthMs}/${Math.floor(point.targetTimeMs / widthMs)}`;
}
