import type { ItemContext } from "../items/context.ts";
import { pinsName, manifestName } from "../items/names.ts";
import { POINT_SETTLE_MS, PRUNE_MAX_POINTS } from "../limits.ts";
import { type PointManifest, readPoint } from "./manifest.ts";
import { type PinnedSnapshot, beginDeletion, readPins } from "./pins.ts";
import { expiredPoints } from "./retention.ts";

export interface PruneOutcome {
  readonly removed: readonly string[];
  /** Expired, but someone needs them. */
  readonly pinned: readonly string[];
  /** Expired points are left for the next call. */
  readonly more: boolean;
}

/**
 * Removes points that retention lets go, oldest first and at most PRUNE_MAX_POINTS of them: the record says `deleting`, then the manifest goes, then the
 * snapshots, then the record (DESIGN 7). `points` are all points of the item; a crash anywhere is finished by `finishDeletion`.
 */
export async function pruneExpired(
  context: ItemContext,
  itemId: string,
  points: readonly PointManifest[],
  retentionMs: number,
): Promise<PruneOutcome> {
  const nowMs = context.clock.now();
  const records = context.stores.records(itemId);
  // A younger point waits, so that no late copy of a request that made it can bring its manifest back.
  const expired = expiredPoints(points, retentionMs, nowMs).filter((point) => nowMs - point.targetTimeMs >= POINT_SETTLE_MS);
  const removed: string[] = [];
  const pinned: string[] = [];
  for (const point of expired) {
    if (removed.length === PRUNE_MAX_POINTS) return { removed, pinned, more: true };
    if (await beginDeletion(records, point, nowMs)) {
      await finishDeletion(context, itemId, point.pointId);
      removed.push(point.pointId);
    } else {
      pinned.push(point.pointId);
    }
  }
  return { removed, pinned, more: false };
}

/** Finishes a deletion that a point's record announces, wherever it stopped; true if there was one. May run twice, side by side too. */
export async function finishDeletion(context: ItemContext, itemId: string, pointId: string): Promise<boolean> {
  const records = context.stores.records(itemId);
  const pins = await readPins(records, pointId);
  if (pins?.state !== "deleting") return false;
  // A tombstone stays: it keeps the name of a point that must not appear any more.
  if ((await readPoint(records, pointId))?.kind === "point") await records.remove(manifestName(pointId));
  for (const snapshot of pins.snapshots) await removeSnapshot(context, itemId, snapshot);
  await records.remove(pinsName(pointId));
  return true;
}

async function removeSnapshot(context: ItemContext, itemId: string, { stream, diskId, snapshot }: PinnedSnapshot): Promise<void> {
  await context.stores.snapshots.remove({ itemId, stream, diskId }, snapshot);
}
