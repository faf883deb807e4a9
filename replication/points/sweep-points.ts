import type { ItemContext } from "../items/context.ts";
import type { ProtectedItem } from "../items/item.ts";
import { manifestName, pinsName } from "../items/names.ts";
import { ORPHAN_GRACE_MS, PRUNE_MAX_POINTS, SWEEP_MAX_SNAPSHOTS, TOMBSTONE_MS } from "../limits.ts";
import type { DiskSnapshot, TargetDisk } from "../ports.ts";
import { readCatalog } from "./catalog.ts";
import { type PointManifest, type PointTombstone, encodePoint, readPoint } from "./manifest.ts";
import type { PointPin } from "./pins.ts";
import { finishDeletion, pruneExpired } from "./prune.ts";

export interface PointSweep {
  /** Points that are left, oldest first. */
  readonly kept: readonly PointManifest[];
  /** Everyone who holds a point. */
  readonly pins: readonly HeldPin[];
  readonly removedPoints: readonly string[];
  /** Expired points that a pin keeps. */
  readonly pinnedPoints: readonly string[];
  /** Deletions that an earlier call had begun. */
  readonly finishedDeletions: number;
  readonly removedSnapshots: number;
  readonly removedTombstones: number;
  readonly more: boolean;
}

interface HeldPin {
  readonly pointId: string;
  readonly pin: PointPin;
}

/** Retention and tidying of one item's recovery points, bounded and safe to repeat (DESIGN 7). */
export async function sweepPoints(context: ItemContext, item: ProtectedItem): Promise<PointSweep> {
  const { itemId } = item;
  const catalog = await readCatalog(context.stores.records(itemId));
  const finished = new Set<string>();
  let more = false;
  for (const [pointId, { state }] of catalog.pins) {
    if (state === "kept") continue;
    if (finished.size === PRUNE_MAX_POINTS) more = true;
    else if (await finishDeletion(context, itemId, pointId)) finished.add(pointId);
  }
  const standing = catalog.points.filter(({ pointId }) => catalog.pins.get(pointId)?.state !== "deleting");
  const pruned = await pruneExpired(context, itemId, standing, item.policy.retentionMs);
  const kept = catalog.points.filter(({ pointId }) => !pruned.removed.includes(pointId) && !finished.has(pointId));
  const orphans = await removeOrphans(context, item, catalog.points);
  const removedTombstones = await removeOldTombstones(context, item, catalog.tombstones, orphans.buriedIds);
  const pins = [...catalog.pins].flatMap(([pointId, record]) => record.pins.map((pin) => ({ pointId, pin })));
  await removeLostPins(context, item, [...catalog.pins.keys()], catalog.points);
  return {
    kept,
    pins,
    removedPoints: pruned.removed,
    pinnedPoints: pruned.pinned,
    finishedDeletions: finished.size,
    removedSnapshots: orphans.removed,
    removedTombstones,
    more: more || pruned.more || orphans.more,
  };
}

interface OrphanSweep {
  readonly removed: number;
  readonly more: boolean;
  /** Point ids that still have snapshots without a manifest. */
  readonly buriedIds: ReadonlySet<string>;
}

/**
 * Snapshots that no manifest names. A worker may have been killed, or may still be about to write the manifest: after a grace time a tombstone takes the
 * manifest's name, and only then the snapshots go. Whoever creates the name first decides (rule 2).
 */
async function removeOrphans(context: ItemContext, item: ProtectedItem, points: readonly PointManifest[]): Promise<OrphanSweep> {
  const named = new Set(points.flatMap((point) => point.disks.map((disk) => `${point.stream}/${disk.id}/${disk.snapshot}`)));
  const buriedIds = new Set<string>();
  let removed = 0;
  let more = false;
  for (const { id } of item.disks) {
    const disk: TargetDisk = { itemId: item.itemId, stream: item.stream, diskId: id };
    for (const entry of await context.stores.snapshots.list(disk)) {
      // Snapshots without our metadata are somebody else's.
      if (entry.pointId === undefined || named.has(`${item.stream}/${id}/${entry.snapshot}`)) continue;
      buriedIds.add(entry.pointId);
      if (context.clock.now() - entry.createdMs <= ORPHAN_GRACE_MS) continue;
      if (removed === SWEEP_MAX_SNAPSHOTS) more = true;
      else if (await removeOrphan(context, disk, entry, entry.pointId)) removed += 1;
    }
  }
  return { removed, more, buriedIds };
}

async function removeOrphan(context: ItemContext, disk: TargetDisk, { snapshot }: DiskSnapshot, pointId: string): Promise<boolean> {
  const records = context.stores.records(disk.itemId);
  const tombstone = { version: 1, kind: "tombstone", pointId, itemId: disk.itemId, buriedMs: context.clock.now() } as const;
  // Taken: by a tombstone of an earlier sweep, or by a manifest that came after our look at the catalog.
  const created =
    (await readPoint(records, pointId)) === undefined && (await records.create(manifestName(pointId), encodePoint(tombstone)));
  if (created === false || created === undefined) {
    const record = await readPoint(records, pointId);
    // Undefined: its deletion has just ended. A manifest that names another snapshot of this disk never changes, so this one is waste.
    const wanted = record?.kind === "point" && record.disks.some((named) => named.id === disk.diskId && named.snapshot === snapshot);
    if (record === undefined || wanted) return false;
  }
  await context.stores.snapshots.remove(disk, snapshot);
  return true;
}

async function removeOldTombstones(
  context: ItemContext,
  { itemId }: ProtectedItem,
  tombstones: readonly PointTombstone[],
  stillNeeded: ReadonlySet<string>,
): Promise<number> {
  const old = tombstones.filter(({ pointId, buriedMs }) => context.clock.now() - buriedMs > TOMBSTONE_MS && !stillNeeded.has(pointId));
  const bounded = old.slice(0, SWEEP_MAX_SNAPSHOTS);
  for (const { pointId } of bounded) await context.stores.records(itemId).remove(manifestName(pointId));
  return bounded.length;
}

/** Pins of a point that vanished while it was being pinned: its manifest never comes back, and whoever pinned it was told so. */
async function removeLostPins(
  context: ItemContext,
  { itemId }: ProtectedItem,
  pinned: readonly string[],
  points: readonly PointManifest[],
): Promise<void> {
  const records = context.stores.records(itemId);
  const known = new Set(points.map((point) => point.pointId));
  for (const pointId of pinned.filter((pointId) => !known.has(pointId)).slice(0, PRUNE_MAX_POINTS)) {
    if ((await readPoint(records, pointId))?.kind === "point") continue;
    // A deletion that is not finished still needs its record.
    if (!(await finishDeletion(context, itemId, pointId))) await records.remove(pinsName(pointId));
  }
}
