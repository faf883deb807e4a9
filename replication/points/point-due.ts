import type { HeartbeatRecord, LastPoint, Progress, ReplicationPolicy } from "../items/item.ts";
import { isBoundary } from "../apply/progress.ts";
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
 * Whether a recovery point is due at this moment, and which moment of the source it shows (DESIGN 7). A pure function of its arguments.
 * Due: the delta applied last is marked and has no point yet; or a failover wants one at this position, or before it, and it is not there; or the policy's interval has passed and the source is known to have stood at the applied
 * position at a later time than the last point shows: because something was applied since, or because the mobility service says of an idle VM
 * that nothing was written since. Never between batches' ends, before the first epoch, while the disks are seeded, or when the item is stopped.
 */
export function pointDue({ policy, progress, heartbeat, nowMs, wanted }: PointQuestion): PointDecision {
  const reason = pointReason(policy, progress, nowMs, wanted);
  if (reason === undefined) return { kind: "not-due" };
  const sourceTimeMs = sourceTime(progress, heartbeat);
  const { lastPoint } = progress;
  if (!hasMoved(progress, lastPoint) && lastPoint !== undefined && sourceTimeMs <= lastPoint.sourceTimeMs) return { kind: "not-due" };
  const skewMs = heartbeat === undefined ? undefined : heartbeat.sentMs - heartbeat.receivedMs;
  return { kind: "due", reason, targetTimeMs: nowMs, sourceTimeMs, skewMs };
}

/** What makes a point due as far as the progress record knows; undefined saves reading the heartbeat. */
export function pointReason(policy: ReplicationPolicy, progress: Progress, nowMs: number, wanted?: PointWanted): PointReason | undefined {
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
 * The latest moment at which the source is known to have held the applied content. Never before that of the last point of the stream: a clock that was set
 * back must not make a later point look older than an earlier one.
 */
function sourceTime(progress: Progress, heartbeat: HeartbeatRecord | undefined): number {
  const { lastPoint } = progress;
  const lastMs = lastPoint?.stream === progress.stream ? lastPoint.sourceTimeMs : 0;
  const currentAtMs = heartbeat !== undefined && samePosition(heartbeat.uploaded, progress.applied) ? (heartbeat.currentAtMs ?? 0) : 0;
  return Math.max(progress.appliedSourceMs, currentAtMs, lastMs);
}
