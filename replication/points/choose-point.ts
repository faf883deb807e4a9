import type { Consistency } from "../delta/delta.ts";
import { LeewardError } from "../errors.ts";
import { LATEST_WAIT_MS } from "../limits.ts";
import type { Position } from "../position.ts";
import { byPosition } from "./order.ts";

/** Site Recovery's options of a failover (`A2ARpRecoveryPointType`), and a point by its id. */
export type PointRequest =
  | { readonly kind: "Latest" }
  | { readonly kind: "LatestProcessed" }
  | { readonly kind: "LatestApplicationConsistent" }
  | { readonly kind: "LatestCrashConsistent" }
  | { readonly kind: "Custom"; readonly pointId: string };

/** Site Recovery's rule: no point id means the latest. */
export function pointRequest(pointId: string | null | undefined): PointRequest {
  return pointId === null || pointId === undefined || pointId === "" ? { kind: "Latest" } : { kind: "Custom", pointId };
}

/** A recovery point, as shown by its manifest and its pins. */
export interface ChoosablePoint {
  readonly pointId: string;
  readonly position: Position;
  readonly targetTimeMs: number;
  readonly consistency: Consistency;
  /** Retention is removing it. */
  readonly deleting: boolean;
  /** A record of it is damaged: reported only when the point is requested by its id. */
  readonly damaged?: LeewardError | undefined;
}

/** The target's position, from the item's progress. */
export interface ApplyProgress {
  readonly applied: Position;
  /** Between batches: a point can be taken here. */
  readonly boundary: boolean;
  /** The disks are being filled: no point can be taken. */
  readonly seeding: boolean;
  /** Applying has stopped and will not continue by itself. */
  readonly stopped: boolean;
}

/** Fixed when the failover starts, so that a source that keeps writing cannot delay it for ever. */
export interface LatestTarget {
  readonly position: Position;
  readonly deadlineMs: number;
}

export type PointChoice =
  | { readonly kind: "point"; readonly pointId: string; readonly why: PointChoiceReason }
  /** The target's position is reached and has no point yet: the worker takes one now. */
  | { readonly kind: "take-point" }
  /** Check again later, at the latest at the deadline. */
  | { readonly kind: "wait"; readonly untilMs: number }
  | { readonly kind: "refused"; readonly error: LeewardError };

type PointChoiceReason =
  | "asked-for"
  | "latest"
  | "latest-processed"
  /** Instead of the latest state: */
  | "fallback-deadline"
  | "fallback-stopped"
  /** Everything uploaded is applied, but the disks are still being filled: the rest may never come. */
  | "fallback-seeding"
  | "fallback-stream-closed";

/** Before every stream. */
const NOWHERE: Position = { stream: 0, epoch: 0, checksum: "" };

/**
 * What a failover to the latest state waits for: the position that the mobility service had uploaded when the failover
 * started, as far as it is known. It does not wait for later uploads, nor at all when the progress record cannot be
 * read.
 */
export function latestTarget(
  progress: Pick<ApplyProgress, "applied"> | undefined,
  uploaded: Position | undefined,
  nowMs: number,
  waitMs: number = LATEST_WAIT_MS,
): LatestTarget {
  if (progress === undefined) return { position: uploaded ?? NOWHERE, deadlineMs: nowMs };
  const { applied } = progress;
  const ahead = uploaded !== undefined && uploaded.stream === applied.stream && uploaded.epoch > applied.epoch;
  return { position: ahead ? uploaded : applied, deadlineMs: nowMs + waitMs };
}

/**
 * The point of a failover, or what has to happen first. Called again after each wait with the same `target`, it ends at
 * the deadline at the latest: then the latest processed point serves. Points are ordered by their positions, whatever
 * the clocks said; points that retention is removing, and damaged ones, are never chosen. `progress` is undefined when
 * its record cannot be read: then it is unknown what may still come.
 */
export function choosePoint(
  request: PointRequest,
  points: readonly ChoosablePoint[],
  progress: ApplyProgress | undefined,
  target: LatestTarget,
  nowMs: number,
): PointChoice {
  const kept = points.filter(({ deleting, damaged }) => !deleting && damaged === undefined).toSorted(byPosition);
  switch (request.kind) {
    case "Latest":
      return progress === undefined
        ? newest(kept, "fallback-stopped", "no recovery point")
        : chooseLatest(kept, progress, target, nowMs);
    case "LatestProcessed":
      return newest(kept, "latest-processed", "no recovery point");
    case "LatestApplicationConsistent":
      return newest(
        kept.filter(({ consistency }) => consistency === "application"),
        "asked-for",
        "no application-consistent recovery point",
      );
    case "LatestCrashConsistent":
      return newest(
        kept.filter(({ consistency }) => consistency === "crash"),
        "asked-for",
        "no crash-consistent recovery point",
      );
    case "Custom":
      return chooseCustom(points, request.pointId);
  }
}

function chooseLatest(
  kept: readonly ChoosablePoint[],
  { applied, boundary, seeding, stopped }: ApplyProgress,
  { position, deadlineMs }: LatestTarget,
  nowMs: number,
): PointChoice {
  const there = kept.findLast(
    (point) => point.position.stream === position.stream && point.position.epoch >= position.epoch,
  );
  if (there !== undefined) return { kind: "point", pointId: there.pointId, why: "latest" };
  if (applied.stream !== position.stream) return newest(kept, "fallback-stream-closed", "no recovery point");
  if (nowMs >= deadlineMs) return newest(kept, "fallback-deadline", "no recovery point");
  if (applied.epoch >= position.epoch && boundary) {
    // The state applied before a stop can still become a point.
    return seeding ? newest(kept, "fallback-seeding", "no recovery point") : { kind: "take-point" };
  }
  if (stopped) return newest(kept, "fallback-stopped", "no recovery point");
  return { kind: "wait", untilMs: deadlineMs };
}

function chooseCustom(points: readonly ChoosablePoint[], pointId: string): PointChoice {
  const point = points.find((candidate) => candidate.pointId === pointId);
  if (point === undefined)
    return {
      kind: "refused",
      error: new LeewardError("point-unknown", `There is no recovery point ${pointId}.`, { pointId }),
    };
  if (point.damaged !== undefined) return { kind: "refused", error: point.damaged };
  if (!point.deleting) return { kind: "point", pointId, why: "asked-for" };
  return {
    kind: "refused",
    error: new LeewardError("point-pruned", `Retention is removing the recovery point ${pointId}.`, { pointId }),
  };
}

function newest(ordered: readonly ChoosablePoint[], why: PointChoiceReason, missing: string): PointChoice {
  const point = ordered.at(-1);
  if (point !== undefined) return { kind: "point", pointId: point.pointId, why };
  return { kind: "refused", error: new LeewardError("point-unknown", `The item has ${missing}.`) };
}
