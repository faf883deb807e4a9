import { POINT_SETTLE_MS, SWEEP_MAX_SNAPSHOTS } from "../limits.ts";
import { readCatalog } from "../points/catalog.ts";
import type { ItemContext } from "../points/context.ts";
import { listPointSnapshots, snapshotsOfPoint } from "../points/snapshots.ts";
import { readItem } from "../records/item-record.ts";
import { repairPins } from "./damaged-points.ts";
import { finishDeletion, leaving, removePoints } from "./prune.ts";
import { removeOrphan } from "./sweep-points.ts";

/**
 * Removes the recovery points of an item regardless of retention, a bounded number at a time, damaged ones too. Returns
 * how many are left: they wait for the next call, for the requests that made them to settle, or for a restore that
 * holds them. Errors: `item-unknown`.
 */
export async function removeAllPoints(context: ItemContext, itemId: string): Promise<number> {
  const { item } = await readItem(context.stores, itemId);
  const records = context.stores.records(itemId);
  const nowMs = context.clock.now();
  const catalog = await readCatalog(records);
  const snapshots = await listPointSnapshots(context, item, catalog.points);
  await repairPins(context, item, catalog, snapshots);
  for (const [pointId, { state }] of catalog.pins)
    if (state === "deleting") await finishDeletion(context, itemId, pointId);
  // A late copy of the request that made a point cannot restore its manifest afterwards. A changed clock leaves points
  // of another time.
  const settled = catalog.points.filter(({ targetTimeMs }) => Math.abs(nowMs - targetTimeMs) >= POINT_SETTLE_MS);
  const damaged = [...catalog.damagedManifests.keys()].map((pointId) => ({
    pointId,
    snapshots: snapshotsOfPoint(snapshots, pointId),
  }));
  const free = [...settled.map(leaving), ...damaged].filter(({ pointId }) => !catalog.damagedPins.has(pointId));
  await removePoints(context, itemId, free);
  // For a point whose manifest is not written yet: a worker that wakes later finds its name taken.
  const named = new Set([
    ...catalog.points.map(({ pointId }) => pointId),
    ...catalog.damagedManifests.keys(),
    ...catalog.pins.keys(),
  ]);
  const orphans = snapshots.filter(({ pointId }) => !named.has(pointId));
  for (const orphan of orphans.slice(0, SWEEP_MAX_SNAPSHOTS)) await removeOrphan(context, itemId, orphan);
  const left = await readCatalog(records);
  return left.points.length + left.damagedManifests.size;
}
