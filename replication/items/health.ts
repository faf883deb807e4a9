import {
  CLOCK_SKEW_WARNING_MS,
  HEARTBEAT_LATE_MS,
  HEARTBEAT_LOST_MS,
  POINT_OVERDUE_INTERVALS,
  POINT_OVERDUE_MIN_MS,
  RPO_CRITICAL_MS,
  RPO_WARNING_MS,
} from "../limits.ts";
import { HEARTBEAT_RECORD } from "../names.ts";
import { samePosition } from "../position.ts";
import type { HeartbeatRecord, Progress } from "../records/item.ts";
import { speaksOf } from "../service/repair-report.ts";
import type { ProtectionStage, StatusFacts } from "./status-facts.ts";

/** Site Recovery's replication health; `None` while there is nothing to judge. */
export type ReplicationHealth = "None" | "Normal" | "Warning" | "Critical";

export interface HealthError {
  readonly code: string;
  readonly level: "Warning" | "Critical";
  readonly message: string;
  /** What the operator should do. */
  readonly hint: string;
}

/** The worst level of all errors. */
export function healthOf(stage: ProtectionStage, errors: readonly HealthError[]): ReplicationHealth {
  if (errors.some((error) => error.level === "Critical")) return "Critical";
  if (errors.length > 0) return "Warning";
  return stage === "enabling" ? "None" : "Normal";
}

/** All current faults of an item, the worst kind first. */
export function healthErrors(facts: StatusFacts, stage: ProtectionStage): readonly HealthError[] {
  if (stage === "enabling") return stopErrors(facts);
  const lost = facts.heartbeat === undefined || facts.nowMs - facts.heartbeat.receivedMs > HEARTBEAT_LOST_MS;
  return [
    ...stopErrors(facts),
    ...heartbeatErrors(facts),
    ...uploadErrors(facts),
    ...resynchronizationErrors(facts),
    ...appPointErrors(facts),
    ...(stage === "protected" ? rpoErrors(facts) : []),
    // Without a source no point can be taken: the missing heartbeat says it all.
    ...(stage === "protected" && !lost ? pointErrors(facts) : []),
    ...skewErrors(facts),
  ];
}

/**
 * The source's time, by the target's clock, up to which the target disks hold every write: the last write applied, or
 * the time at which the service reported nothing after the applied position. Undefined when neither is known. The
 * heartbeat corrects the source's clock; a time that is still ahead of the target's clock was read while the source's
 * clock was wrong, and says nothing.
 */
export function coveredUntilMs(
  progress: Progress,
  heartbeat: HeartbeatRecord | undefined,
  nowMs: number,
): number | undefined {
  const idle = heartbeat !== undefined && samePosition(heartbeat.uploaded, progress.applied);
  const known = [progress.appliedSourceMs, idle ? (heartbeat.currentAtMs ?? 0) : 0]
    .filter((sourceMs) => sourceMs > 0)
    .map((sourceMs) => sourceMs + sourceOffsetMs(heartbeat))
    .filter((atMs) => atMs - nowMs <= CLOCK_SKEW_WARNING_MS);
  return known.length === 0 ? undefined : Math.max(...known);
}

/** Added to a time of the source's clock, gives that of the target's. */
function sourceOffsetMs(heartbeat: HeartbeatRecord | undefined): number {
  return heartbeat === undefined ? 0 : (heartbeat.clockOffsetMs ?? heartbeat.receivedMs - heartbeat.sentMs);
}

function stopErrors({ progress: { stopped } }: StatusFacts): readonly HealthError[] {
  return stopped === undefined
    ? []
    : [{ code: stopped.code, level: "Critical", message: stopped.message, hint: stopped.hint }];
}

function heartbeatErrors({ item, heartbeat, heartbeatDamaged, nowMs }: StatusFacts): readonly HealthError[] {
  if (heartbeatDamaged === true) {
    return [
      {
        code: "record-corrupt",
        level: "Warning",
        message: `The record ${HEARTBEAT_RECORD} is damaged: when the mobility service was last heard, and how far it has come, is not known.`,
        hint: "The next heartbeat makes it anew; if none comes, look at the mobility service.",
      },
    ];
  }
  const ageMs = nowMs - (heartbeat?.receivedMs ?? item.createdMs);
  if (ageMs <= HEARTBEAT_LATE_MS) return [];
  if (heartbeat?.session?.ended === true) {
    return [
      {
        code: "service-stopped",
        level: "Warning",
        message: `The mobility service was stopped in order ${inMinutes(ageMs)} ago.`,
        hint: "Nothing to do while the source VM is off; else start its mobility service.",
      },
    ];
  }
  return [
    {
      code: ageMs > HEARTBEAT_LOST_MS ? "heartbeat-lost" : "heartbeat-late",
      level: ageMs > HEARTBEAT_LOST_MS ? "Critical" : "Warning",
      message: `The mobility service has not been heard for ${inMinutes(ageMs)}.`,
      hint: "Check that the source VM and its mobility service run and reach the function app by HTTPS.",
    },
  ];
}

function uploadErrors({ item, heartbeat }: StatusFacts): readonly HealthError[] {
  if (heartbeat?.uploadsStopped === undefined || !speaksOf(heartbeat, item)) return [];
  return [
    {
      code: "uploads-stopped",
      level: "Critical",
      message: `The mobility service uploads nothing more: ${heartbeat.uploadsStopped.message}`,
      hint: "Stop the other service, if there is one, then repairReplication. Recovery points already taken stay usable.",
    },
  ];
}

function resynchronizationErrors({ heartbeat }: StatusFacts): readonly HealthError[] {
  if (heartbeat?.resynchronization?.state !== "required") return [];
  return [
    {
      code: "resynchronization-required",
      level: "Critical",
      message: `A resynchronization is required: ${heartbeat.resynchronization.reason}.`,
      hint: "It begins by itself when the mobility service can send again; repairReplication starts one. Recovery points already taken stay usable.",
    },
  ];
}

function appPointErrors({ heartbeat }: StatusFacts): readonly HealthError[] {
  const outcome = heartbeat?.appPoint?.outcome;
  if (outcome?.state !== "failed") return [];
  return [
    {
      code: "app-consistent-point-failed",
      level: "Warning",
      message: `The last app-consistent point was not taken: ${outcome.reason ?? "no reason given"}.`,
      hint: "See the log of the mobility service, and run its script with --pre and --post by hand. Crash-consistent points go on.",
    },
  ];
}

/**
 * The service was stopped cleanly, and the target has everything: nothing is missing, however long the source VM stays
 * off.
 */
function isAtRest({ progress, heartbeat }: StatusFacts): boolean {
  if (heartbeat?.session?.ended !== true) return false;
  return (
    heartbeat.pendingBytes === 0 &&
    heartbeat.currentAtMs !== undefined &&
    samePosition(heartbeat.uploaded, progress.applied)
  );
}

function rpoErrors(facts: StatusFacts): readonly HealthError[] {
  const { progress, heartbeat, nowMs } = facts;
  if (isAtRest(facts)) return [];
  const coveredMs = coveredUntilMs(progress, heartbeat, nowMs);
  const ageMs = coveredMs === undefined ? 0 : nowMs - coveredMs;
  if (ageMs <= (facts.item.policy.rpoThresholdMs ?? RPO_WARNING_MS)) return [];
  return [
    {
      code: "rpo-exceeded",
      level: ageMs > RPO_CRITICAL_MS ? "Critical" : "Warning",
      message: `The target lies ${inMinutes(ageMs)} behind the source.`,
      hint: "Compare the backlog: bytes that wait at the source point to its uplink, epochs that wait in the cache to the function app.",
    },
  ];
}

function pointErrors(facts: StatusFacts): readonly HealthError[] {
  const { item, progress, lastPoint, nowMs } = facts;
  if (isAtRest(facts)) return [];
  const overdueMs = Math.max(item.policy.pointIntervalMs * POINT_OVERDUE_INTERVALS, POINT_OVERDUE_MIN_MS);
  const ageMs = nowMs - (lastPoint?.targetTimeMs ?? item.createdMs);
  if (ageMs <= overdueMs || progress.stopped !== undefined) return [];
  return [
    {
      code: "recovery-point-overdue",
      level: "Warning",
      message: `No recovery point has been taken for ${inMinutes(ageMs)}; older ones are kept past their time.`,
      hint: "Check that the timers of the function app run and that it may take snapshots in the target account.",
    },
  ];
}

/** The clock that the service uses, the machine's own if different, and that of the last write applied. */
function skewErrors({ progress, heartbeat, nowMs }: StatusFacts): readonly HealthError[] {
  const offsetMs = sourceOffsetMs(heartbeat);
  const skewMs = Math.max(
    Math.abs(offsetMs),
    Math.abs(heartbeat?.clockAheadMs ?? 0),
    progress.appliedSourceMs + offsetMs - nowMs,
  );
  if (skewMs <= CLOCK_SKEW_WARNING_MS) return [];
  return [
    {
      code: "clock-skew",
      level: "Warning",
      message: `The clocks of source and target differ by ${inMinutes(skewMs)}.`,
      hint: "Set the source's clock by NTP. Content and order are not affected, but the times of recovery points mislead.",
    },
  ];
}

function inMinutes(durationMs: number): string {
  const minutes = Math.round(durationMs / 60_000);
  return minutes === 1 ? "1 minute" : `${minutes} minutes`;
}
