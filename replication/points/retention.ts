import {
  RETENTION_ALL_MS,
  RETENTION_DAY_BUCKET_MS,
  RETENTION_DAY_MS,
  RETENTION_LATE_BUCKET_MS,
  RETENTION_WEEK_BUCKET_MS,
  RETENTION_WEEK_MS,
} from "../limits.ts";
import type { Consistency } from "../delta/delta.ts";

/** What retention looks at; a manifest is one. */
export interface RetainedPoint {
  readonly pointId: string;
  /** Unix milliseconds of the target's clock when the point was taken. */
  readonly targetTimeMs: number;
  readonly consistency: Consistency;
}

/**
 * The points that retention lets go, oldest first. A pure function of the points, the policy and the target's clock (DESIGN 7):
 *
 * 1. The newest point always stays. With a retention of 0 it is the only one.
 * 2. Ages are measured from `min(now, time of the newest point)`. While points come in, that is the present; once none can be made, time stands
 *    still and old points stay past the window (Site Recovery's rule). A clock that jumps ahead or back therefore removes nothing.
 * 3. A point older than the window goes.
 * 4. Points of the last 2 h stay. Of the older ones the oldest of each bucket stays; buckets are cut at absolute times, 1 h wide when the window is
 *    at most a day, else 2 h wide, and 4 h wide for ages beyond 7 days. Each kind of consistency has buckets of its own.
 * 5. Windows below 3 h are Leeward's own (Site Recovery counts days); everything inside such a window stays.
 *
 * Because a bucket's first point is found before the window is looked at, and coarse buckets are unions of fine ones, pruning often and pruning once
 * end in the same points.
 */
export function expiredPoints<Point extends RetainedPoint>(points: readonly Point[], retentionMs: number, nowMs: number): readonly Point[] {
  const ordered = points.toSorted(byTime);
  const newest = ordered.at(-1);
  if (newest === undefined) return [];
  if (retentionMs <= 0) return ordered.slice(0, -1);
  const referenceMs = Math.min(nowMs, newest.targetTimeMs);
  const taken = new Set<string>();
  return ordered.filter((point) => {
    const ageMs = referenceMs - point.targetTimeMs;
    const buckets = bucketWidthsMs(ageMs, retentionMs).map((widthMs) => bucketOf(point, widthMs));
    const coarsest = buckets.at(-1);
    const thinned = coarsest !== undefined && taken.has(coarsest);
    // A late point takes its fine bucket too: its neighbours on this side of the seventh day were thinned beside it long ago.
    for (const bucket of buckets) taken.add(bucket);
    return point !== newest && (thinned || ageMs > retentionMs);
  });
}

/** The widths of the buckets that a point of this age lies in, fine to coarse; one point of the coarsest stays. Empty: all stay. */
function bucketWidthsMs(ageMs: number, retentionMs: number): readonly number[] {
  if (ageMs <= RETENTION_ALL_MS || retentionMs < RETENTION_ALL_MS + RETENTION_DAY_BUCKET_MS) return [];
  if (retentionMs <= RETENTION_DAY_MS) return [RETENTION_DAY_BUCKET_MS];
  // A window that ends inside the first late bucket has none: its first point would leave the window before the others are thinned.
  const late = ageMs > RETENTION_WEEK_MS && retentionMs >= RETENTION_WEEK_MS + RETENTION_LATE_BUCKET_MS;
  return late ? [RETENTION_WEEK_BUCKET_MS, RETENTION_LATE_BUCKET_MS] : [RETENTION_WEEK_BUCKET_MS];
}

function bucketOf(point: RetainedPoint, widthMs: number): string {
  return `${point.consistency}/${widthMs}/${Math.floor(point.targetTimeMs / widthMs)}`;
}

function byTime(left: RetainedPoint, right: RetainedPoint): number {
  return left.targetTimeMs - right.targetTimeMs || (left.pointId < right.pointId ? -1 : 1);
}
