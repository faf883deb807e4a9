import { PRUNE_MAX_POINTS, RESTORES_MAX_COUNT } from "../limits.ts";
import { RESTORES_PREFIX } from "../names.ts";
import type { PointCatalog } from "../points/catalog.ts";
import type { ItemContext } from "../points/context.ts";
import { pointTimeMs, type PointManifest } from "../points/manifest.ts";
import { type PinnedSnapshot, type PointPin, type PointPins, pinsRecord } from "../points/pins.ts";
import { type PointSnapshot, snapshotsOfPoint } from "../points/snapshots.ts";
import type { ProtectedItem } from "../records/item.ts";
import { isFinished, lookAtRestore, restorePinId } from "../restore/record.ts";
import { type LeavingPoint, leaving, lookAtPoint } from "./prune.ts";

/**
 * Points that are unusable and are removed early: their manifest names a snapshot that is gone. Only a worker that
 * slept past the tombstone of its point can make one. Read again, because another sweep may be removing the point.
 */
export async function brokenPoints(
  context: ItemContext,
  { itemId }: ProtectedItem,
  { points, pins }: PointCatalog,
  snapshots: readonly PointSnapshot[],
): Promise<readonly LeavingPoint[]> {
  const there = new Set(snapshots.map(keyOf));
  const broken: LeavingPoint[] = [];
  for (const point of points) {
    if (pins.get(point.pointId)?.state === "deleting") continue;
    const { pointId, snapshots: named } = leaving(point);
    if (named.every((snapshot) => there.has(keyOf(snapshot)))) continue;
    const standing = await lookAtPoint(context.stores.records(itemId), pointId);
    if (standing !== "damaged" && standing?.kind === "point") broken.push({ pointId, snapshots: named });
  }
  return broken;
}

/**
 * A point with a damaged manifest is removed when a point of its age would be: until then the manifest can be restored
 * from a copy, such as the account's soft delete. Its snapshots are known by their metadata. Oldest first.
 */
export function expiredDamaged(
  { damagedManifests, damagedPins, points }: PointCatalog,
  { policy }: ProtectedItem,
  snapshots: readonly PointSnapshot[],
): readonly LeavingPoint[] {
  const newest = points.at(-1);
  if (newest === undefined) return [];
  return [...damagedManifests.keys()]
    .filter(
      (pointId) => !damagedPins.has(pointId) && newest.targetTimeMs - (pointTimeMs(pointId) ?? 0) > policy.retentionMs,
    )
    .map((pointId) => ({ pointId, snapshots: snapshotsOfPoint(snapshots, pointId) }));
}

/**
 * Rebuilds damaged records of pins, at most PRUNE_MAX_POINTS of them; returns how many. Only restores hold points, so
 * their records give the pins; a damaged one may hold the point and counts as a holder until it is deleted. A point
 * whose manifest is gone was being removed.
 */
export async function repairPins(
  context: ItemContext,
  { itemId }: ProtectedItem,
  { damagedPins }: PointCatalog,
  snapshots: readonly PointSnapshot[],
): Promise<number> {
  if (damagedPins.size === 0) return 0;
  const records = context.stores.records(itemId);
  const holders = await restoreHolders(context, itemId);
  let repaired = 0;
  for (const pointId of [...damagedPins.keys()].slice(0, PRUNE_MAX_POINTS)) {
    const record = pinsRecord(records, pointId);
    const stored = await record.inspect();
    if (stored === undefined) continue;
    const standing = await lookAtPoint(records, pointId);
    const gone = standing !== "damaged" && standing?.kind !== "point";
    const pins: PointPins = gone
      ? { version: 1, state: "deleting", pins: [], snapshots: snapshotsOfPoint(snapshots, pointId) }
      : { version: 1, state: "kept", pins: holders(pointId), snapshots: [] };
    if ((await record.replace(pins, stored.etag)) !== undefined) repaired += 1;
  }
  return repaired;
}

async function restoreHolders(context: ItemContext, itemId: string): Promise<(pointId: string) => readonly PointPin[]> {
  const records = context.stores.records(itemId);
  const nowMs = context.clock.now();
  const held: { readonly pointId: string | undefined; readonly pin: PointPin }[] = [];
  for (const { name } of await records.list(RESTORES_PREFIX, RESTORES_MAX_COUNT)) {
    const restoreId = /^restores\/([0-9a-f]{32})\.json$/.exec(name)?.[1] ?? "";
    const pin = { pinId: restorePinId(restoreId), reason: "restore", sinceMs: nowMs, untilMs: undefined };
    const stored = await lookAtRestore(records, restoreId);
    if (stored === "damaged") held.push({ pointId: undefined, pin });
    else if (stored !== undefined && !isFinished(stored.restore)) held.push({ pointId: stored.restore.pointId, pin });
  }
  return (pointId) =>
    held.flatMap((each) => (each.pointId === undefined || each.pointId === pointId ? [each.pin] : []));
}

const keyOf = ({ stream, diskId, snapshot }: PinnedSnapshot): string => `${stream}/${diskId}/${snapshot}`;

/** The streams whose disks hold points, or may: a damaged manifest does not show where its snapshots are. */
export function neededStreams(
  kept: readonly PointManifest[],
  { damagedManifests }: PointCatalog,
  snapshots: readonly PointSnapshot[],
): ReadonlySet<number> {
  const damaged = snapshots.filter(({ pointId }) => damagedManifests.has(pointId));
  return new Set([...kept, ...damaged].map(({ stream }) => stream));
}
