import type { LeewardError } from "../replication/errors.ts";
import type { AppPointStatus } from "../replication/service/app-point.ts";
import type { ProtectedItem, RepairRequest, ServiceSession } from "../replication/records/item.ts";
import type { HealthError } from "../replication/items/health.ts";
import type { ItemOverview } from "../replication/operations/overview.ts";
import type { ItemStatus } from "../replication/items/status.ts";
import type { NamedMapping } from "../replication/planning/mapping-records.ts";
import { policyInMinutes } from "../replication/records/policy.ts";
import type { PolicyRecord } from "../replication/items/policy-records.ts";
import type { ManagedItem } from "../replication/jobs/managed-item.ts";
import { type PointManifest, pointTimeMs } from "../replication/points/manifest.ts";
import type { Position } from "../replication/position.ts";
import type { RestoreRecord } from "../replication/restore/record.ts";
import type { RestoreStatus } from "../replication/restore/status.ts";
import type { Situation } from "../replication/states/decide.ts";
import { offeredOperations } from "../replication/states/offered.ts";
import { stateWords } from "../replication/states/words.ts";

/**
 * What the API shows: times in ISO 8601, durations in minutes where Site Recovery has minutes, and never a token or its
 * hash (rule 8).
 */

export const timeView = (timeMs: number): string => new Date(timeMs).toISOString();
const optionalTimeView = (timeMs: number | undefined): string | undefined =>
  timeMs === undefined ? undefined : timeView(timeMs);

/** A stored policy. */
export const storedPolicyView = ({ name, policy }: PolicyRecord): object => ({ name, ...policyInMinutes(policy) });

/** A network mapping. */
export function mappingView({
  name,
  sourceNetworkId,
  sourceRegion,
  targetNetworkId,
  targetRegion,
}: NamedMapping): object {
  return {
    name,
    primaryNetworkId: sourceNetworkId,
    primaryRegion: sourceRegion,
    recoveryNetworkId: targetNetworkId,
    recoveryRegion: targetRegion,
  };
}

/** The answer to enabling replication. */
export function protectedView(item: ProtectedItem): object {
  const { itemId, stream, disks, policy, policyName, createdMs } = item;
  return { name: itemId, stream, disks, policyName, policy: policyInMinutes(policy), created: timeView(createdMs) };
}

/** One item of a list, or shown alone. What the flows say of its state is the last word. */
export function overviewView({ itemId, status, managed, damaged }: ItemOverview): object {
  return {
    name: itemId,
    ...(status === undefined ? {} : itemView(status)),
    ...(managed === undefined ? {} : managedView(managed.item, managed.situation)),
    ...(damaged === undefined ? {} : damagedView(damaged, status)),
  };
}

/** A record of the item cannot be read: the worst that can be said of its health, beside what else is wrong. */
function damagedView({ code, message, hint }: LeewardError, status: ItemStatus | undefined): object {
  const error: HealthError = { code, level: "Critical", message, hint };
  return { replicationHealth: "Critical", healthErrors: [error, ...(status?.healthErrors ?? [])] };
}

function itemView(status: ItemStatus): object {
  const { itemId, lastHeartbeatMs, policy, lastRecoveryPoint, stopped, createdMs, uploaded, applied, ...others } =
    status;
  const { appConsistentPoint, repair, session, ...shown } = others;
  return {
    name: itemId,
    ...shown,
    uploaded: uploaded === undefined ? undefined : positionView(uploaded),
    applied: positionView(applied),
    lastHeartbeat: optionalTimeView(lastHeartbeatMs),
    policy: policyInMinutes(policy),
    lastRecoveryPoint:
      lastRecoveryPoint === undefined
        ? undefined
        : {
            name: lastRecoveryPoint.pointId,
            recoveryPointTime: timeView(lastRecoveryPoint.targetTimeMs),
            sourceTime: timeView(lastRecoveryPoint.sourceTimeMs),
            stream: lastRecoveryPoint.stream,
            epoch: lastRecoveryPoint.epoch,
          },
    appConsistentPoint: appConsistentPoint === undefined ? undefined : appPointView(appConsistentPoint),
    repair: repair === undefined ? undefined : repairView(repair),
    session: session === undefined ? undefined : sessionView(session),
    stopped: stopped === undefined ? undefined : stopView(stopped),
    created: timeView(createdMs),
  };
}

/** What the flows add to an item, in the words of its state. */
function managedView({ itemId, sourceVmId, plan }: ManagedItem, situation: Situation): object {
  return {
    name: itemId,
    ...stateWords(situation, false),
    allowedOperations: offeredOperations(situation.state),
    currentJob: situation.job === undefined ? undefined : `${itemId}.${situation.job.jobId}`,
    sourceVmId,
    targetVmId: plan?.machine.id,
    notices: plan?.notices,
  };
}

/** One recovery point. */
export function pointView(point: PointManifest): object {
  return {
    name: point.pointId,
    recoveryPointType: POINT_TYPES[point.consistency],
    recoveryPointTime: timeView(point.targetTimeMs),
    sourceTime: timeView(point.sourceTimeMs),
    clockSkewMs: point.skewMs,
    position: point.position,
    disks: point.disks.map(({ id, sizeBytes, sectorSizeBytes }) => ({ id, sizeBytes, sectorSizeBytes })),
  };
}

/** A point whose record cannot be read: it can be put back from a copy, and goes when its time is over. */
export function damagedPointView(pointId: string, { code, message, hint }: LeewardError): object {
  const targetTimeMs = pointTimeMs(pointId);
  return { name: pointId, recoveryPointTime: optionalTimeView(targetTimeMs), damaged: { code, message, hint } };
}

/** Where the API tells what becomes of a request to an item. */
export const itemPath = (itemId: string): string => `/api/replicationProtectedItems/${itemId}`;

/** A repair of the replication, in the words of long-running operations. */
export function repairView({ id, state, requestedMs, changedMs }: RepairRequest): object {
  return { name: id, state: REPAIR_STATES[state], requested: timeView(requestedMs), updated: timeView(changedMs) };
}

const REPAIR_STATES: Readonly<Record<RepairRequest["state"], string>> = {
  requested: "Pending",
  running: "InProgress",
  done: "Succeeded",
};

function appPointView({ requestId, state, requestedMs, reportedMs, reason }: AppPointStatus): object {
  return { name: requestId, state, requested: timeView(requestedMs), reported: optionalTimeView(reportedMs), reason };
}

/** The machine's id is shown: the operator compares it with the machine's own. */
function sessionView({ machineId, bootId, sinceMs, ended }: ServiceSession): object {
  return { machineId, bootId, since: timeView(sinceMs), ended };
}

/** Where the API answers for a restore. */
export const restorePath = (itemId: string, restoreId: string): string =>
  `/api/replicationProtectedItems/${itemId}/restores/${restoreId}`;

/** The answer to beginning a restore; `restorePath` tells how it goes on. */
export function restoreStartView({ restoreId, pointId, state }: RestoreRecord): object {
  return { name: restoreId, recoveryPoint: pointId, state };
}

/** One restore. */
export function restoreView(status: RestoreStatus): object {
  const {
    restoreId,
    pointId,
    position,
    sourceTimeMs,
    createdMs,
    updatedMs,
    expiresMs,
    disks,
    state,
    percentComplete,
    error,
  } = status;
  return {
    name: restoreId,
    recoveryPoint: pointId,
    state,
    percentComplete,
    position,
    sourceTime: timeView(sourceTimeMs),
    disks: disks.map(({ id, sizeBytes, state, copiedBytes, totalBytes, url }) => ({
      id,
      sizeBytes,
      state,
      copiedBytes,
      totalBytes,
      url,
    })),
    created: timeView(createdMs),
    updated: timeView(updatedMs),
    expires: optionalTimeView(expiresMs),
    error,
  };
}

/** Site Recovery's words; it has none for a point with a consistent file system only. */
const POINT_TYPES: Readonly<Record<PointManifest["consistency"], string>> = {
  crash: "CrashConsistent",
  "file-system": "FileSystemConsistent",
  application: "ApplicationConsistent",
};

function positionView({ stream, epoch, checksum }: Position): object {
  return { stream, epoch, checksum };
}

function stopView(stopped: NonNullable<ItemStatus["stopped"]>): object {
  const { atMs, ...reason } = stopped;
  return { ...reason, at: timeView(atMs) };
}
