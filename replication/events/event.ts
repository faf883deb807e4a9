import { createHash } from "node:crypto";
import type { ReplicationHealth } from "../items/health.ts";
import type { ItemStatus } from "../items/status.ts";
import { type JobRecord, stateDescription } from "../jobs/job.ts";
import { EVENT_ERRORS_MAX_COUNT, EVENT_TEXT_MAX_LENGTH } from "../limits.ts";
import type { PointManifest } from "../points/manifest.ts";
import type { Situation } from "../states/decide.ts";
import { offeredOperations } from "../states/offered.ts";
import { stateWords } from "../states/words.ts";

/**
 * An event in the Event Grid schema (docs/events.md has the shape of each `data`). The same occurrence has the same id
 * however often it is published. No token, key, address or grant is ever part of it (rule 8).
 */
export interface LeewardEvent {
  readonly id: string;
  readonly eventType: EventType;
  /** Begins with `/replicationProtectedItems/{item}/`, so that a subscription can ask for one item. */
  readonly subject: string;
  /** Unix milliseconds. */
  readonly eventTimeMs: number;
  readonly dataVersion: "1.0";
  readonly data: Readonly<Record<string, unknown>>;
  /** Unix milliseconds by field of `data`, where they are sent as ISO 8601. */
  readonly times: Readonly<Record<string, number | undefined>>;
}

type EventType =
  | "Leeward.ReplicationHealthChanged"
  | "Leeward.RecoveryPointCreated"
  | "Leeward.JobStateChanged"
  | "Leeward.FailoverStateChanged";

/** The item's health differs from the last published one; `before` is undefined the first time. */
export function healthChanged(status: ItemStatus, before: ReplicationHealth | undefined, nowMs: number): LeewardEvent {
  const { itemId, replicationHealth } = status;
  return event("Leeward.ReplicationHealthChanged", itemId, "health", `${before}/${replicationHealth}/${nowMs}`, nowMs, {
    replicationHealth,
    previousReplicationHealth: before,
    protectionState: status.protectionState,
    rpoInSeconds: status.rpoInSeconds,
    healthErrors: status.healthErrors.slice(0, EVENT_ERRORS_MAX_COUNT).map(({ code, level, message, hint }) => ({
      code,
      level,
      message: short(message),
      hint: short(hint),
    })),
  });
}

/** A recovery point exists. Its kind is in Site Recovery's terms. */
export function pointCreated(point: PointManifest): LeewardEvent {
  const { itemId, pointId, stream, position, consistency, sourceTimeMs, targetTimeMs } = point;
  return event(
    "Leeward.RecoveryPointCreated",
    itemId,
    `recoveryPoints/${pointId}`,
    pointId,
    targetTimeMs,
    {
      recoveryPoint: pointId,
      recoveryPointType: POINT_TYPES[consistency],
      stream,
      epoch: position.epoch,
      disks: point.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
    },
    { recoveryPointTime: targetTimeMs, sourceTime: sourceTimeMs },
  );
}

const POINT_TYPES: Readonly<Record<PointManifest["consistency"], string>> = {
  crash: "CrashConsistent",
  "file-system": "FileSystemConsistent",
  application: "ApplicationConsistent",
};

/** A job has begun, waits for an operator, or has ended. `atMs`: when the job entered this state. */
export function jobStateChanged(job: JobRecord, atMs: number): LeewardEvent {
  const { itemId, jobId, state, tasks, errors, leftovers = [] } = job;
  const running = tasks.find((task) => task.state === "InProgress" || task.state === "Suspended");
  const endedCount = tasks.filter((task) => task.endedMs !== undefined).length;
  // A job may be suspended more than once: the number of ended tasks tells the times apart.
  return event(
    "Leeward.JobStateChanged",
    itemId,
    `replicationJobs/${jobId}`,
    `${jobId}/${state}/${endedCount}`,
    atMs,
    {
      job: jobId,
      scenarioName: job.scenarioName,
      friendlyName: job.friendlyName,
      state,
      stateDescription: stateDescription(job),
      currentTask: running?.name,
      errors: errors.slice(0, EVENT_ERRORS_MAX_COUNT).map(({ taskName, code, message, hint }) => ({
        taskName,
        code,
        message: short(message),
        hint: short(hint),
      })),
      leftovers: leftovers.slice(0, EVENT_ERRORS_MAX_COUNT).map(({ id, message }) => ({ id, message: short(message) })),
    },
    { startTime: job.startedMs, endTime: job.endedMs },
  );
}

/**
 * Undefined when the state is the same. `cause` distinguishes two equal changes: the id of the job that made it, or
 * something else that is unique.
 */
export function failoverStateChanged(
  itemId: string,
  before: Situation,
  after: Situation,
  cause: string,
  atMs: number,
): LeewardEvent | undefined {
  if (before.state === after.state && before.activeLocation === after.activeLocation) return undefined;
  const [from, to] = [stateWords(before, false), stateWords(after, false)];
  const identity = `${cause}/${before.state}/${after.state}/${after.activeLocation}`;
  return event("Leeward.FailoverStateChanged", itemId, "failover", identity, atMs, {
    protectionState: to.protectionState,
    protectionStateDescription: to.protectionStateDescription,
    previousProtectionState: from.protectionState,
    testFailoverState: to.testFailoverState,
    activeLocation: to.activeLocation,
    failover: after.failover,
    job: after.job?.jobId,
    allowedOperations: offeredOperations(after.state),
  });
}

function event(
  eventType: EventType,
  itemId: string,
  place: string,
  identity: string,
  eventTimeMs: number,
  data: Readonly<Record<string, unknown>>,
  times: LeewardEvent["times"] = {},
): LeewardEvent {
  const id = createHash("sha256")
    .update(`leeward-event-1\n${eventType}\n${itemId}\n${identity}`, "utf8")
    .digest("hex")
    .slice(0, 32);
  const subject = `/replicationProtectedItems/${itemId}/${place}`;
  return { id, eventType, subject, eventTimeMs, dataVersion: "1.0", data: { protectedItem: itemId, ...data }, times };
}

function short(text: string): string {
  return text.length <= EVENT_TEXT_MAX_LENGTH ? text : `${text.slice(0, EVENT_TEXT_MAX_LENGTH - 1)}…`;
}
