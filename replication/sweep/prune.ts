import { PRUNE_MAX_POINTS, PRUNE_MAX_SNAPSHOTS } from "../limits.ts";
import { pinsName, manifestName } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import { type PointManifest, type PointRecord, readPoint } from "../points/manifest.ts";
import { type PinnedSnapshot, beginDeletion, readPins, snapshotsOf } from "../points/pins.ts";
import { expiredPoints } from "../points/retention.ts";
import type { RecordStore } from "../ports.ts";
import { unlessDamaged } from "../records/damaged.ts";
import type { ReplicationPolicy } from "../records/item.ts";

export interface PruneOutcome {
  readonly removed: readonly string[];
  /** Expired, but still needed. */
  readonly pinned: readonly string[];
  /** Expired points are left for the next call. */
  readonly more: boolean;
}

/** A point to remove, with all its snapshots. */
export interface LeavingPoint {
  readonly pointId: string;
  readonly snapshots: readonly PinnedSnapshot[];
}

/**
 * Removes points that retention releases, oldest first and at most PRUNE_MAX_POINTS of them. `points` are all points of
 * the item.
 */
export async function pruneExpired(
  context: ItemContext,
  itemId: string,
  points: readonly PointManifest[],
  policy: ReplicationPolicy,
): Promise<PruneOutcome> {
  return removePoints(context, itemId, expiredPoints(points, policy, context.clock.now()).map(leaving));
}

/**
 * Removes points, at most PRUNE_MAX_POINTS of them and about PRUNE_MAX_SNAPSHOTS snapshots: marks the record
 * `deleting`, then removes the manifest, the snapshots and the record. `finishDeletion` completes it after a crash
 * anywhere.
 */
export async function removePoints(
  context: ItemContext,
  itemId: string,
  points: readonly LeavingPoint[],
): Promise<PruneOutcome> {
  const nowMs = context.clock.now();
  const records = context.stores.records(itemId);
  const removed: string[] = [];
  const pinned: string[] = [];
  let removedSnapshots = 0;
  for (const { pointId, snapshots } of points) {
    if (removed.length === PRUNE_MAX_POINTS || removedSnapshots >= PRUNE_MAX_SNAPSHOTS)
      return { removed, pinned, more: true };
    if (await beginDeletion(records, pointId, snapshots, nowMs)) {
      await finishDeletion(context, itemId, pointId);
      removed.push(pointId);
      removedSnapshots += snapshots.length;
    } else {
      pinned.push(pointId);
    }
  }
  return { removed, pinned, more: false };
}

export function leaving(point: PointManifest): LeavingPoint {
  return { pointId: point.pointId, snapshots: snapshotsOf(point) };
}

/**
 * Finishes a deletion that a point's record announces, wherever it stopped; true if there was one. May run twice, also
 * concurrently.
 */
export async function finishDeletion(context: ItemContext, itemId: string, pointId: string): Promise<boolean> {
  const records = context.stores.records(itemId);
  const pins = await readPins(records, pointId);
  if (pins?.state !== "deleting") return false;
  // A tombstone stays: it reserves the name of a point that must not appear any more.
  const standing = await lookAtPoint(records, pointId);
  if (standing === "damaged" || standing?.kind === "point") await records.remove(manifestName(pointId));
  for (const { stream, diskId, snapshot } of pins.snapshots) {
    await context.stores.snapshots.remove({ itemId, stream, diskId }, snapshot);
  }
  await records.remove(pinsName(pointId));
  return true;
}

/** The record under the manifest's name. */
export function lookAtPoint(records: RecordStore, pointId: string): Promise<PointRecord | "damaged" | undefined> {
  return unlessDamaged(
    () => readPoint(records, pointId),
    () => "damaged" as const,
  );
}
