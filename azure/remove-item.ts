import { inLanes } from "../replication/apply/lanes.ts";
import {
  ITEM_RECORD,
  PROGRESS_RECORD,
  cacheContainer,
  cacheContainersPrefix,
  diskContainer,
  diskContainersPrefix,
  isLastingRecord,
  itemContainer,
  quarantineContainer,
  restoreContainer,
} from "../replication/items/names.ts";
import { DISK_REQUESTS_IN_FLIGHT, LIST_PAGE_MAX_COUNT } from "../replication/limits.ts";
import type { BlobAccount } from "./connections.ts";
import { listStreams, removeContainer } from "./containers.ts";
import { openRecords } from "./records.ts";

/** A page of the item's records, or the containers of its disks once no record is left: see `ItemStores`. */
export async function removeTargetData(target: BlobAccount, itemId: string): Promise<{ readonly more: boolean }> {
  const records = openRecords(target, itemContainer(itemId));
  const listed = await records.list("", LIST_PAGE_MAX_COUNT);
  const names = listed.map(({ name }) => name).filter((name) => name !== ITEM_RECORD && name !== PROGRESS_RECORD && !isLastingRecord(name));
  await inLanes(DISK_REQUESTS_IN_FLIGHT, names, (name) => records.remove(name));
  // What stays is far fewer than a page, so that each call gets on.
  if (listed.length === LIST_PAGE_MAX_COUNT) return { more: true };
  await removeContainer(target, restoreContainer(itemId));
  for (const stream of await listStreams(target, diskContainersPrefix(itemId))) {
    await removeContainer(target, diskContainer(itemId, stream));
  }
  return { more: false };
}

/** The containers of all streams, and quarantine. */
export async function removeCacheData(cache: BlobAccount, itemId: string): Promise<void> {
  for (const stream of await listStreams(cache, cacheContainersPrefix(itemId))) {
    await removeContainer(cache, cacheContainer(itemId, stream));
  }
  await removeContainer(cache, quarantineContainer(itemId));
}

/** Without the first no worker begins anything, and without the second none goes on. */
export async function forgetItem(target: BlobAccount, itemId: string): Promise<void> {
  const records = openRecords(target, itemContainer(itemId));
  await records.remove(ITEM_RECORD);
  await records.remove(PROGRESS_RECORD);
}
