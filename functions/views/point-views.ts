import type { Told } from "../../api/operation.ts";
import type { damagedPoint, recoveryPoint } from "../../api/recovery-points.ts";
import type { restore, restoreStart } from "../../api/restores.ts";
import type { LeewardError } from "../../replication/errors.ts";
import { type PointManifest, pointTimeMs } from "../../replication/points/manifest.ts";
import type { RestoreRecord } from "../../replication/restore/record.ts";
import type { RestoreStatus } from "../../replication/restore/status.ts";
import { optionalTimeView, timeView } from "./time-view.ts";

/** One recovery point. */
export function pointView(point: PointManifest): Told<typeof recoveryPoint> {
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

/** A point with an unreadable record: it can be restored from a copy, and is removed when it expires. */
export function damagedPointView(pointId: string, { code, message, hint }: LeewardError): Told<typeof damagedPoint> {
  const targetTimeMs = pointTimeMs(pointId);
  return { name: pointId, recoveryPointTime: optionalTimeView(targetTimeMs), damaged: { code, message, hint } };
}

/** The address of a restore in the API. */
export const restorePath = (itemId: string, restoreId: string): string =>
  `/api/replicationProtectedItems/${itemId}/restores/${restoreId}`;

/** The answer to beginning a restore; `restorePath` shows its progress. */
export function restoreStartView({ restoreId, pointId, state }: RestoreRecord): Told<typeof restoreStart> {
  return { name: restoreId, recoveryPoint: pointId, state };
}

/** One restore. */
export function restoreView(status: RestoreStatus): Told<typeof restore> {
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

/** Site Recovery's terms; it has none for a point with only a consistent file system. */
const POINT_TYPES: Readonly<Record<PointManifest["consistency"], Told<typeof recoveryPoint>["recoveryPointType"]>> = {
  crash: "CrashConsistent",
  "file-system": "FileSystemConsistent",
  application: "ApplicationConsistent",
};
