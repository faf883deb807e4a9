import { forEachConcurrently } from "../replication/concurrency.ts";
import { DISK_REQUESTS_IN_FLIGHT, LIST_PAGE_MAX_COUNT } from "../replication/limits.ts";
import {
  ITEM_RECORD,
  PROGRESS_RECORD,
  cacheContainer,
  cacheContainersPrefix,
  diskContainer,
  diskContainersPrefix,
  itemContainer,
  quarantineContainer,
  restoreContainer,
} from "../replication/names.ts";
import type { RecordStore } from "../replication/ports.ts";
import { requireNoLaterLife } from "../replication/records/item-record.ts";
import { placedRecords } from "../replication/records/placed-records.ts";
import type { BlobAccount } from "./connections.ts";
import { listStreams, removeContainer } from "./containers.ts";
import { openRecords } from "./records.ts";

/** A page of the item's records, or the containers of its disks once no record is left: see `ItemStores`. */
export async function removeTargetData(
  replicas: readonly [BlobAccount, ...BlobAccount[]],
  itemId: string,
  lastStream: number,
): Promise<{ readonly more: boolean }> {
  const records = placedRecords(openRecords(replicas[0], itemContainer(itemId)), itemContainer(itemId));
  const item = await records.read(ITEM_RECORD);
  if (item !== undefined) await requireNoLaterLife(itemId, item.bytes, lastStream);
  const { isPage } = await removePage(records);
  // Two records stay, so that each call makes progress.
  if (isPage) return { more: true };
  for (const replica of replicas) {
    await removeContainer(replica, restoreContainer(itemId));
    for (const stream of await listStreams(replica, diskContainersPrefix(itemId))) {
      if (stream <= lastStream) await removeContainer(replica, diskContainer(itemId, stream));
    }
  }
  return { more: false };
}

/** The containers of all streams up to this one, and quarantine. */
export async function removeCacheData(cache: BlobAccount, itemId: string, lastStream: number): Promise<void> {
  for (const stream of await listStreams(cache, cacheContainersPrefix(itemId))) {
    if (stream <= lastStream) await removeContainer(cache, cacheContainer(itemId, stream));
  }
  await removeContainer(cache, quarantineContainer(itemId));
}

/** Removes the records on the item's first page that go before the item itself. */
async function removePage(records: RecordStore): Promise<{ readonly isPage: boolean }> {
  const listed = await records.list("", LIST_PAGE_MAX_COUNT);
  const names = listed.map(({ name }) => name).filter((name) => name !== ITEM_RECORD && name !== PROGRESS_RECORD);
  await forEachConcurrently(DISK_REQUESTS_IN_FLIGHT, names, (name) => records.remove(name));
  return { isPage: listed.length === LIST_PAGE_MAX_COUNT };
}

/**
 * Without the first record no worker begins anything, and without the second none continues. A sweep, heartbeat or
 * alert that found the item earlier may have written since: that goes last.
 */
export async function forgetItem(target: BlobAccount, itemId: string, lastStream: number): Promise<void> {
  const records = placedRecords(openRecords(target, itemContainer(itemId)), itemContainer(itemId));
  for (const name of [ITEM_RECORD, PROGRESS_RECORD]) {
    // A late removal must not hit the record of the item's next life.
    const stored = await records.read(name);
    if (stored === undefined) continue;
    if (name === ITEM_RECORD) await requireNoLaterLife(itemId, stored.bytes, lastStream);
    await records.remove(name, stored.etag);
  }
  await removePage(records);
}
