import { findReadableStreams } from "../records/streams.ts";
import { findManaged } from "../jobs/managed-item.ts";
import { STRAYS_MAX_COUNT } from "../limits.ts";
import { ITEM_RECORD, POINTS_PREFIX, isLastingRecord } from "../names.ts";
import type { ItemStores, RecordStore, StreamPlace } from "../ports.ts";
import { lookAtPoint } from "./prune.ts";

/**
 * What was on its way when an item was disabled, and landed afterwards: records of a sweep or a heartbeat, even an item
 * that an activity made whose flow had ended. Removes it, and says how many records and containers went. An item that
 * is being protected again meanwhile is in no danger: a record goes only while it is the one that was seen before the
 * item was known to be unprotected, and of streams only those with a number that no later life can have. Who protects
 * it again and takes up the item that is found here writes its record first: then all of it stays. Nothing is done for
 * items that nobody disabled by a flow, nor where a recovery point has disks to show (rule 2). Errors: those of the
 * ports.
 */
export async function removeStrays(stores: ItemStores, itemId: string): Promise<number> {
  // Most items are protected: for them this is all.
  if (!(await isUnprotected(stores, itemId))) return 0;
  const records = stores.records(itemId);
  const lastStream = (await findReadableStreams(stores, itemId))?.last ?? 0;
  const listed = await records.list("", STRAYS_MAX_COUNT);
  const strays = await Promise.all(
    listed.flatMap(({ name }) =>
      isLastingRecord(name) ? [] : [records.read(name).then((stored) => ({ name, etag: stored?.etag }))],
    ),
  );
  const streamsIn = async (place: StreamPlace): Promise<readonly number[]> =>
    (await stores.listStreams(itemId, place)).filter((stream) => stream <= lastStream);
  const disks = await streamsIn("target");
  if (strays.length === 0 && disks.length === 0) return 0;
  // A managed record may have been brought back from before the present life: whoever does that must not lose what can
  // be failed over to.
  if (disks.length > 0 && (await hasPoints(records))) return 0;
  // A life that began meanwhile may have made some of it.
  if (!(await isUnprotected(stores, itemId))) return 0;
  // Without this one no worker begins anything with the others.
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
 * Asked for by their own names: any number of other records may stand before them. So many that one look does not show
 * them all are never tombstones alone.
 */
async function hasPoints(records: RecordStore): Promise<boolean> {
  const listed = await records.list(POINTS_PREFIX, STRAYS_MAX_COUNT);
  if (listed.length === STRAYS_MAX_COUNT) return true;
  const pointIds = listed.flatMap(({ name }) => /^points\/([^/]+)\/manifest\.json$/.exec(name)?.[1] ?? []);
  const found = await Promise.all(pointIds.map((pointId) => lookAtPoint(records, pointId)));
  return found.some((record) => record === "damaged" || record?.kind === "point");
}

/**
 * Disabled by a flow, and nobody protects it again. A record without a plan has just been made, perhaps in place of a
 * damaged one: it says nothing of before.
 */
async function isUnprotected(stores: ItemStores, itemId: string): Promise<boolean> {
  const managed = await findManaged(stores, itemId);
  if (managed?.plan === undefined) return false;
  return managed.situation.state === "Unprotected" && managed.situation.job === undefined;
}
