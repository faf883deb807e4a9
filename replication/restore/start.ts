import { LeewardError } from "../errors.ts";
import { CALLER_ID_MAX_LENGTH, RESTORES_MAX_COUNT } from "../limits.ts";
import { RESTORES_PREFIX } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import { type PointManifest, isPointId } from "../points/manifest.ts";
import { pinPoint } from "../points/pins.ts";
import { requireItem } from "../records/item-record.ts";
import { requireField } from "../records/request-rules.ts";
import { type RestoreRecord, findRestore, restoreIdOf, restorePinId, restoreRecord } from "./record.ts";

/**
 * Pins the point and records the restore; the caller then sends its first message. With a `requestId` the call can be
 * repeated: it returns the same restore in its current state, and sending the message again is harmless. Errors:
 * `item-unknown`, `point-unknown`, `point-pruned`, `invalid-request` (the request id was used for another point).
 */
export async function startRestore(
  context: ItemContext,
  itemId: string,
  pointId: string,
  requestId?: string,
): Promise<RestoreRecord> {
  await requireItem(context.stores, itemId);
  if (requestId !== undefined) {
    const field = "x-ms-client-request-id";
    requireField(
      requestId.length >= 1 && requestId.length <= CALLER_ID_MAX_LENGTH,
      field,
      `1 to ${CALLER_ID_MAX_LENGTH} characters`,
    );
  }
  const restoreId = restoreIdOf(itemId, requestId ?? context.ids.next());
  const records = context.stores.records(itemId);
  const existing = await findRestore(records, restoreId);
  if (existing !== undefined) return samePoint(existing.restore, pointId);
  if (!isPointId(pointId))
    throw new LeewardError("point-unknown", `"${pointId}" is not the id of a recovery point.`, { pointId });
  const nowMs = context.clock.now();
  const pin = { pinId: restorePinId(restoreId), reason: "restore", sinceMs: nowMs, untilMs: undefined };
  const restore = pendingRestore(restoreId, await pinPoint(records, pointId, pin), nowMs);
  return samePoint(await restoreRecord(records, restoreId).upsert((found) => found ?? restore), pointId);
}

/**
 * Limits the restores that operators request: each holds copies of all disks. A repeated request passes. Errors:
 * `conflict`.
 */
export async function requireRoomForRestore(
  { stores }: ItemContext,
  itemId: string,
  requestId: string | undefined,
): Promise<void> {
  const records = stores.records(itemId);
  if (requestId !== undefined && (await findRestore(records, restoreIdOf(itemId, requestId))) !== undefined) return;
  const count = (await records.list(RESTORES_PREFIX, RESTORES_MAX_COUNT)).length;
  if (count < RESTORES_MAX_COUNT) return;
  throw new LeewardError(
    "conflict",
    `The item has ${count} restores.`,
    { itemId },
    { hint: "Delete those that are needed no longer: each keeps copies of all disks." },
  );
}

function pendingRestore(restoreId: string, point: PointManifest, nowMs: number): RestoreRecord {
  return {
    version: 1,
    restoreId,
    itemId: point.itemId,
    pointId: point.pointId,
    stream: point.stream,
    position: point.position,
    sourceTimeMs: point.sourceTimeMs,
    state: "Pending",
    disks: point.disks.map(({ id, sizeBytes, snapshot }) => ({
      id,
      sizeBytes,
      snapshot,
      state: "pending",
      copiedBytes: 0,
      totalBytes: 0,
    })),
    createdMs: nowMs,
    updatedMs: nowMs,
    error: undefined,
  };
}

function samePoint(restore: RestoreRecord, pointId: string): RestoreRecord {
  requireField(
    restore.pointId === pointId,
    "x-ms-client-request-id",
    `it was used for a restore of the point ${restore.pointId} already`,
  );
  return restore;
}
