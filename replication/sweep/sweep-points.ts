import { ORPHAN_GRACE_MS, PRUNE_MAX_POINTS, SWEEP_MAX_SNAPSHOTS, TOMBSTONE_MS } from "../limits.ts";
import { manifestName, pinsName } from "../names.ts";
import { type PointCatalog, readCatalog, readCatalogAgain } from "../points/catalog.ts";
import type { ItemContext } from "../points/context.ts";
import { type PointManifest, type PointTombstone, encodePoint } from "../points/manifest.ts";
import type { PointPin } from "../points/pins.ts";
import { type PointSnapshot, listPointSnapshots } from "../points/snapshots.ts";
import type { ProtectedItem } from "../records/item.ts";
import { brokenPoints, expiredDamaged, neededStreams, repairPins } from "./damaged-points.ts";
import { finishDeletion, lookAtPoint, pruneExpired, removePoints } from "./prune.ts";

export interface PointSweep {
  /** Points that are left, in the order of their positions. */
  readonly kept: readonly PointManifest[];
  /** All pins that hold a point. */
  readonly pins: readonly HeldPin[];
  /** Streams whose target disks hold points, or may. */
  readonly neededStreams: ReadonlySet<number>;
  readonly removedPoints: readonly string[];
  /** Expired points that a pin keeps. */
  readonly pinnedPoints: readonly string[];
  /** Unusable points: their manifest is damaged, or names a snapshot that is gone. */
  readonly damagedPoints: readonly string[];
  /** Damaged records of pins that were rebuilt. */
  readonly repairedPins: number;
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

export function heldPins({ pins }: PointCatalog): readonly HeldPin[] {
  return [...pins].flatMap(([pointId, record]) => record.pins.map((pin) => ({ pointId, pin })));
}

/**
 * Retention and cleanup of one item's recovery points, bounded and safe to repeat. A damaged record delays none of the
 * others.
 */
export async function sweepPoints(context: ItemContext, item: ProtectedItem): Promise<PointSweep> {
  const { itemId } = item;
  const records = context.stores.records(itemId);
  const catalog = await (context.points === undefined
    ? readCatalog(records)
    : readCatalogAgain(records, itemId, context.points));
  // After the catalog: a snapshot exists before the manifest that names it.
  const snapshots = await listPointSnapshots(context, item, catalog.points);
  const repairedPins = await repairPins(context, item, catalog, snapshots);
  const finished = await finishDeletions(context, itemId, catalog);
  const broken = await brokenPoints(context, item, catalog, snapshots);
  const brokenIds = broken.map(({ pointId }) => pointId);
  const isFree = ({ pointId }: PointManifest): boolean =>
    catalog.pins.get(pointId)?.state !== "deleting" &&
    !catalog.damagedPins.has(pointId) &&
    !brokenIds.includes(pointId);
  const pruned = await pruneExpired(context, itemId, catalog.points.filter(isFree), item.policy);
  const waste = await removePoints(context, itemId, [...broken, ...expiredDamaged(catalog, item, snapshots)]);
  const gone = new Set([...pruned.removed, ...waste.removed, ...finished.ids]);
  const kept = catalog.points.filter(({ pointId }) => !gone.has(pointId) && !brokenIds.includes(pointId));
  const orphans = await removeOrphans(context, item, catalog, snapshots);
  const removedTombstones = await removeOldTombstones(context, item, catalog.tombstones, orphans.buriedIds);
  await removeLostPins(context, item, catalog);
  return {
    kept,
    pins: heldPins(catalog),
    neededStreams: neededStreams(kept, catalog, snapshots),
    removedPoints: [...pruned.removed, ...waste.removed],
    pinnedPoints: [...pruned.pinned, ...waste.pinned],
    damagedPoints: [...catalog.damagedManifests.keys(), ...brokenIds].filter((pointId) => !gone.has(pointId)),
    repairedPins,
    finishedDeletions: finished.ids.length,
    removedSnapshots: orphans.removed,
    removedTombstones,
    more: finished.more || pruned.more || waste.more || orphans.more,
  };
}

async function finishDeletions(
  context: ItemContext,
  itemId: string,
  { pins }: PointCatalog,
): Promise<{ readonly ids: readonly string[]; readonly more: boolean }> {
  const begun = [...pins].flatMap(([pointId, { state }]) => (state === "deleting" ? [pointId] : []));
  const ids: string[] = [];
  for (const pointId of begun.slice(0, PRUNE_MAX_POINTS))
    if (await finishDeletion(context, itemId, pointId)) ids.push(pointId);
  return { ids, more: begun.length > PRUNE_MAX_POINTS };
}

interface OrphanSweep {
  readonly removed: number;
  readonly more: boolean;
  /** Point ids that still have snapshots without a manifest. */
  readonly buriedIds: ReadonlySet<string>;
}

/**
 * Removes snapshots that no manifest names, of every stream. A worker may have been killed, or may still be about to
 * write the manifest: after a grace time a tombstone takes the manifest's name, and only then the snapshots go. The
 * first to create the name decides (rule 2). Snapshots of a damaged manifest stay: it may be restored.
 */
async function removeOrphans(
  context: ItemContext,
  { itemId }: ProtectedItem,
  { points, damagedManifests }: PointCatalog,
  snapshots: readonly PointSnapshot[],
): Promise<OrphanSweep> {
  const named = new Set(
    points.flatMap((point) => point.disks.map((disk) => `${point.stream}/${disk.id}/${disk.snapshot}`)),
  );
  const buriedIds = new Set<string>();
  let removed = 0;
  let more = false;
  for (const entry of snapshots) {
    const { stream, diskId, snapshot, pointId, createdMs } = entry;
    if (named.has(`${stream}/${diskId}/${snapshot}`) || damagedManifests.has(pointId)) continue;
    buriedIds.add(pointId);
    if (context.clock.now() - createdMs <= ORPHAN_GRACE_MS) continue;
    if (removed === SWEEP_MAX_SNAPSHOTS) more = true;
    else if (await removeOrphan(context, itemId, entry)) removed += 1;
  }
  return { removed, more, buriedIds };
}

/** First a tombstone takes the manifest's name. False when a manifest names the snapshot. */
export async function removeOrphan(
  { stores, clock }: ItemContext,
  itemId: string,
  entry: PointSnapshot,
): Promise<boolean> {
  const { stream, diskId, snapshot, pointId } = entry;
  const records = stores.records(itemId);
  const tombstone = { version: 1, kind: "tombstone", pointId, itemId, buriedMs: clock.now() } as const;
  // Taken: by a tombstone of an earlier sweep, or by a manifest written after our read of the catalog.
  const created =
    (await lookAtPoint(records, pointId)) === undefined &&
    (await records.create(manifestName(pointId), encodePoint(tombstone)));
  if (created === false || created === undefined) {
    const record = await lookAtPoint(records, pointId);
    // Undefined: its deletion has just ended. A manifest that names another snapshot of this disk never changes, so
    // this one is waste.
    if (record === undefined || record === "damaged") return false;
    if (record.kind === "point" && record.disks.some((named) => named.id === diskId && named.snapshot === snapshot))
      return false;
  }
  await stores.snapshots.remove({ itemId, stream, diskId }, snapshot);
  return true;
}

/** A tombstone keeps its name while a snapshot of its point exists, and at least for TOMBSTONE_MS. */
async function removeOldTombstones(
  context: ItemContext,
  { itemId }: ProtectedItem,
  tombstones: readonly PointTombstone[],
  stillNeeded: ReadonlySet<string>,
): Promise<number> {
  const old = tombstones.filter(
    ({ pointId, buriedMs }) => context.clock.now() - buriedMs > TOMBSTONE_MS && !stillNeeded.has(pointId),
  );
  const bounded = old.slice(0, SWEEP_MAX_SNAPSHOTS);
  for (const { pointId } of bounded) await context.stores.records(itemId).remove(manifestName(pointId));
  return bounded.length;
}

/**
 * Removes pins of a point that vanished while being pinned: its manifest never returns, and the pinning call reported
 * it.
 */
async function removeLostPins(
  context: ItemContext,
  { itemId }: ProtectedItem,
  { pins, points, damagedManifests }: PointCatalog,
): Promise<void> {
  const records = context.stores.records(itemId);
  const known = new Set([...points.map((point) => point.pointId), ...damagedManifests.keys()]);
  for (const pointId of [...pins.keys()].filter((pointId) => !known.has(pointId)).slice(0, PRUNE_MAX_POINTS)) {
    const standing = await lookAtPoint(records, pointId);
    if (standing === "damaged" || standing?.kind === "point") continue;
    // A deletion that is not finished still needs its record.
    if (!(await finishDeletion(context, itemId, pointId))) await records.remove(pinsName(pointId));
  }
}
