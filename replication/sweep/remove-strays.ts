import { findManaged } from "../jobs/managed-item.ts";
import { STRAYS_MAX_COUNT } from "../limits.ts";
import { ITEM_RECORD, POINTS_PREFIX } from "../names.ts";
import type { ItemStores, RecordStore, StreamPlace } from "../ports.ts";
import { findReadableStreams } from "../records/streams.ts";
import { lookAtPoint } from "./prune.ts";

/**
 * Removes what was in flight when an item was disabled and landed afterwards: records of a sweep or a heartbeat, even
 * an item made by an activity whose flow had ended. Returns how many records and containers it removed. It is safe
 * while the item is being protected again: a record is removed only if unchanged since before the item was known to be
 * unprotected, and a stream only if no later life can have its number. Protecting it again with the item found here
 * writes its record first: then all of it stays. Items that no flow disabled are left alone, and so are disks while a
 * recovery point exists (rule 2). Errors: those of the ports.
 */
export async function removeStrays(stores: ItemStores, itemId: string): Promise<number> {
  // Most items are protected: for them this is all.
  if (!(await isUnprotected(stores, itemId))) return 0;
  const records = stores.records(itemId);
  const lastStream = (await findReadableStreams(stores, itemId))?.last ?? 0;
  const listed = await records.list("", STRAYS_MAX_COUNT);
  const strays = await Promise.all(
    listed.map(({ name }) => records.read(name).then((stored) => ({ name, etag: stored?.etag }))),
  );
  const streamsIn = async (place: StreamPlace): Promise<readonly number[]> =>
    (await stores.listStreams(itemId, place)).filter((stream) => stream <= lastStream);
  const disks = await streamsIn("target");
  if (strays.length === 0 && disks.length === 0) return 0;
  // A managed record may have been restored from before the present life: that must not lose what can be failed over
  // to.
  if (disks.length > 0 && (await hasPoints(records))) return 0;
  // A life that began meanwhile may have made some of it.
  if (!(await isUnprotected(stores, itemId))) return 0;
  // Without this record no worker begins anything with the others.
  const item = strays.find(({ name }) => name === ITEM_RECORD);
  if (item?.etag !== undefined) {
    await records.remove(ITEM_RECORD, item.etag);
    if ((await records.read(ITEM_RECORD)) !== undefined) return 0;
  }
  for (const { name, etag } of strays) if (etag !== undefined) await records.remove(name, etag);
  for (const stream of disks) await stores.removeStream(itemId, stream, "target");
  const deltas = await streamsIn("cache");
  for (const stream of deltas) await stores.removeStream(itemId, stream, "cache");
  return strays.length + disks.length + deltas.length;
}

/**
 * Listed by their own names: any number of other records may come before them. More than one listing can show are never
 * tombstones alone.
 */
async function hasPoints(records: RecordStore): Promise<boolean> {
  const listed = await records.list(POINTS_PREFIX, STRAYS_MAX_COUNT);
  if (listed.length === STRAYS_MAX_COUNT) return true;
  const pointIds = listed.flatMap(({ name }) => /^points\/([^/]+)\/manifest\.json$/.exec(name)?.[1] ?? []);
  const found = await Promise.all(pointIds.map((pointId) => lookAtPoint(records, pointId)));
  return found.some((record) => record === "damaged" || record?.kind === "point");
}

/**
 * Disabled by a flow, and not being protected again. A record without a plan has just been made, perhaps to replace a
 * damaged one: it says nothing about earlier lives.
 */
async function isUnprotected(stores: ItemStores, itemId: string): Promise<boolean> {
  const managed = await findManaged(stores, itemId);
  if (managed?.plan === undefined) return false;
  return managed.situation.state === "Unprotected" && managed.situation.job === undefined;
}
