import { CLOCK_SKEW_WARNING_MS, SOURCE_CLOCK_AHEAD_MAX_MS } from "../limits.ts";
import { samePosition } from "../position.ts";
import type { HeartbeatRecord, LastPoint, Progress, ReplicationPolicy } from "../records/item.ts";
import { isBoundary } from "../records/progress.ts";
import type { PointWanted } from "./point-wanted.ts";

export interface PointQuestion {
  readonly policy: ReplicationPolicy;
  readonly progress: Progress;
  /** The last heartbeat of the mobility service, if there was one. */
  readonly heartbeat: HeartbeatRecord | undefined;
  /** The point that a failover waits for, if any. */
  readonly wanted?: PointWanted | undefined;
  /** The target's clock. */
  readonly nowMs: number;
}

/** `marked`: the delta applied last is meant for a point. `wanted`: a failover waits for it. */
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
 * Whether a recovery point is due now, and which moment of the source it shows. A pure function of its arguments. Due:
 * the delta applied last is marked and has no point yet; or a failover wants a point at this position or an earlier
 * one, and there is none; or the policy's interval has passed and the source is known to have been at the applied
 * position at a later time than the last point shows, because something was applied since, or because the mobility
 * service reports for an idle VM that nothing was written since. Never inside a batch, before the first epoch, while
 * the disks are seeded, or when the item is stopped.
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

/** The reason for a point, as far as the progress record shows; undefined saves reading the heartbeat. */
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
  // A clock that was set back by more than the interval must not suppress points until it has caught up.
  return passedMs >= policy.pointIntervalMs || passedMs <= -policy.pointIntervalMs ? "interval" : undefined;
}

function isMarked(progress: Progress): boolean {
  return progress.consistency !== "crash" || progress.groupMark || progress.final;
}

/** The point that serves a failover may show a later position, never an earlier one. */
function isWanted({ stream, applied, lastPoint }: Progress, wanted: PointWanted | undefined): boolean {
  if (wanted === undefined || wanted.stream !== stream || applied.epoch < wanted.epoch) return false;
  return lastPoint === undefined || lastPoint.stream !== stream || lastPoint.epoch < wanted.epoch;
}

function hasMoved(progress: Progress, lastPoint: LastPoint | undefined): boolean {
  return lastPoint === undefined || lastPoint.stream !== progress.stream || lastPoint.epoch < progress.applied.epoch;
}

/**
 * The latest time that the source's clock may show by now, according to its last heartbeat: a later time was read while
 * that clock was wrong. A clock that is more than SOURCE_CLOCK_AHEAD_MAX_MS ahead is itself wrong and is ignored.
 */
function latestSourceTime(skewMs: number | undefined, nowMs: number): number {
  const believedMs = skewMs === undefined || skewMs > SOURCE_CLOCK_AHEAD_MAX_MS ? 0 : skewMs;
  return nowMs + Math.max(0, believedMs) + CLOCK_SKEW_WARNING_MS;
}

/** The time that the last point of the stream shows; 0 without one, or if that time is still in the future. */
function lastShown({ lastPoint, stream }: Progress, latestMs: number): number {
  return lastPoint?.stream === stream && lastPoint.sourceTimeMs <= latestMs ? lastPoint.sourceTimeMs : 0;
}

/**
 * The latest moment at which the source is known to have held the applied content. Never before that of the last point
 * of the stream: a clock that was set back must not make a later point look older than an earlier one. Never after
 * `latestMs`: one reading of a wrong clock must not give all later points the time of the next century.
 */
function sourceTime(progress: Progress, heartbeat: HeartbeatRecord | undefined, latestMs: number): number {
  const currentAtMs =
    heartbeat !== undefined && samePosition(heartbeat.uploaded, progress.applied) ? (heartbeat.currentAtMs ?? 0) : 0;
  const idleMs = currentAtMs <= latestMs ? currentAtMs : 0;
  return Math.max(Math.min(progress.appliedSourceMs, latestMs), idleMs, lastShown(progress, latestMs));
}
