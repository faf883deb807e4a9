import type { HeartbeatRecord, LastPoint, Progress, ReplicationPolicy } from "../records/item.ts";
import { isBoundary } from "../records/progress.ts";
import { CLOCK_SKEW_WARNING_MS, SOURCE_CLOCK_AHEAD_MAX_MS } from "../limits.ts";
import { samePosition } from "../position.ts";
import type { PointWanted } from "./point-wanted.ts";

export interface PointQuestion {
  readonly policy: ReplicationPolicy;
  readonly progress: Progress;
  /** The last word of the mobility service, if it ever spoke. */
  readonly heartbeat: HeartbeatRecord | undefined;
  /** What a failover waits for, if one does. */
  readonly wanted?: PointWanted | undefined;
  /** The target's clock. */
  readonly nowMs: number;
}

/** `marked`: the delta applied last is one that a point is meant for. `wanted`: a failover waits for it. */
export type PointReason = "interval" | "marked" | "wanted";

export type PointDecision =
  | { readonly kind: "not-due" }
  | {
      readonly kind: "due";
      readonly reason: PointReason;
      readonly targetTimeMs: number;
      readonly sourceTimeMs: number;
      readonly skewMs: number | undefined;
    };

/**
 * Whether a recovery point is due at this moment, and which moment of the source it shows. A pure function
 * of its arguments. Due: the delta applied last is marked and has no point yet; or a failover wants one at this
 * position, or before it, and it is not there; or the policy's interval has passed and the source is known to have
 * stood at the applied position at a later time than the last point shows: because something was applied since, or
 * because the mobility service says of an idle VM that nothing was written since. Never between batches' ends, before
 * the first epoch, while the disks are seeded, or when the item is stopped.
 */
export function pointDue({ policy, progress, heartbeat, nowMs, wanted }: PointQuestion): PointDecision {
  const reason = pointReason(policy, progress, nowMs, wanted);
  if (reason === undefined) return { kind: "not-due" };
  const skewMs =
    heartbeat === undefined ? undefined : -(heartbeat.clockOffsetMs ?? heartbeat.receivedMs - heartbeat.sentMs);
  const latestMs = latestSourceTime(skewMs, nowMs);
  const sourceTimeMs = sourceTime(progress, heartbeat, latestMs);
  const { lastPoint } = progress;
  if (!hasMoved(progress, lastPoint) && sourceTimeMs <= lastShown(progress, latestMs)) return { kind: "not-due" };
  return { kind: "due", reason, targetTimeMs: nowMs, sourceTimeMs, skewMs };
}

/** What makes a point due as far as the progress record knows; undefined saves reading the heartbeat. */
export function pointReason(
  policy: ReplicationPolicy,
  progress: Progress,
  nowMs: number,
  wanted?: PointWanted,
): PointReason | undefined {
  const { applied, seeding, stopped, lastPoint } = progress;
  if (seeding || stopped !== undefined || applied.epoch < 1 || !isBoundary(progress)) return undefined;
  if (isMarked(progress) && hasMoved(progress, lastPoint)) return "marked";
  if (isWanted(progress, wanted)) return "wanted";
  if (lastPoint === undefined) return "interval";
  const passedMs = nowMs - lastPoint.targetTimeMs;
  // A clock that was set back by more than the interval must not silence points until it has caught up.
  return passedMs >= policy.pointIntervalMs || passedMs <= -policy.pointIntervalMs ? "interval" : undefined;
}

function isMarked(progress: Progress): boolean {
  return progress.consistency !== "crash" || progress.groupMark || progress.final;
}

/** The point that serves a want may show a later position, never an earlier one. */
function isWanted({ stream, applied, lastPoint }: Progress, wanted: PointWanted | undefined): boolean {
  if (wanted === undefined || wanted.stream !== stream || applied.epoch < wanted.epoch) return false;
  return lastPoint === undefined || lastPoint.stream !== stream || lastPoint.epoch < wanted.epoch;
}

function hasMoved(progress: Progress, lastPoint: LastPoint | undefined): boolean {
  return lastPoint === undefined || lastPoint.stream !== progress.stream || lastPoint.epoch < progress.applied.epoch;
}

/**
 * What the source's clock may show by now, as its last heartbeat tells it: a later time was read while that clock was
 * wrong. A clock that is more than SOURCE_CLOCK_AHEAD_MAX_MS ahead is wrong itself, and tells nothing.
 */
function latestSourceTime(skewMs: number | undefined, nowMs: number): number {
  const believedMs = skewMs === undefined || skewMs > SOURCE_CLOCK_AHEAD_MAX_MS ? 0 : skewMs;
  return nowMs + Math.max(0, believedMs) + CLOCK_SKEW_WARNING_MS;
}

/**
 * The time that the last point of the stream shows; 0 without one, and for one that shows a time which has not come
 * yet.
 */
function lastShown({ lastPoint, stream }: Progress, latestMs: number): number {
  return lastPoint?.stream === stream && lastPoint.sourceTimeMs <= latestMs ? lastPoint.sourceTimeMs : 0;
}

/**
 * The latest moment at which the source is known to have held the applied content. Never before that of the last point
 * of the stream: a clock that was set back must not make a later point look older than an earlier one. Never after
 * `latestMs`: one reading of a wrong clock must not give all points to come the time of the next century.
 */
function sourceTime(progress: Progress, heartbeat: HeartbeatRecord | undefined, latestMs: number): number {
  const currentAtMs =
    heartbeat !== undefined && samePosition(heartbeat.uploaded, progress.applied) ? (heartbeat.currentAtMs ?? 0) : 0;
  const idleMs = currentAtMs <= latestMs ? currentAtMs : 0;
  return Math.max(Math.min(progress.appliedSourceMs, latestMs), idleMs, lastShown(progress, latestMs));
}
