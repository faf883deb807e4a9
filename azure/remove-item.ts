import { inLanes } from "../replication/apply/lanes.ts";
import {
  ITEM_RECORD,
  PROGRESS_RECORD,
  cacheContainer,
  isDiskContainer,
  isLastingRecord,
  itemContainer,
  quarantineContainer,
  restoreContainer,
} from "../replication/items/names.ts";
import { DISK_REQUESTS_IN_FLIGHT, LIST_PAGE_MAX_COUNT, STORE_READ_MS, STORE_WRITE_MS } from "../replication/limits.ts";
import type { BlobAccount } from "./connections.ts";
import { isMissing, reading, unless, writing } from "./errors.ts";
import { firstItems } from "./listing.ts";
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
  for (const container of await diskContainers(target, itemId)) await removeContainer(target, container);
  return { more: false };
}

/** Azure keeps the name of a removed container busy for half a minute or more. */
export async function removeCacheData(cache: BlobAccount, itemId: string): Promise<void> {
  await removeContainer(cache, cacheContainer(itemId));
  await removeContainer(cache, quarantineContainer(itemId));
}

/** Without the first no worker begins anything, and without the second none goes on. */
export async function forgetItem(target: BlobAccount, itemId: string): Promise<void> {
  const records = openRecords(target, itemContainer(itemId));
  await records.remove(ITEM_RECORD);
  await records.remove(PROGRESS_RECORD);
}

function diskContainers(target: BlobAccount, itemId: string): Promise<readonly string[]> {
  return reading("list disk containers", { itemId }, STORE_READ_MS, (abortSignal) =>
    firstItems(
      target.retrying.listContainers({ prefix: `leeward-disk-${itemId}-`, abortSignal }).byPage({ maxPageSize: LIST_PAGE_MAX_COUNT }),
      (page) => page.containerItems.map(({ name }) => name).filter((name) => isDiskContainer(itemId, name)),
      Number.POSITIVE_INFINITY,
    ),
  );
}

async function removeContainer({ retrying }: BlobAccount, container: string): Promise<void> {
  await writing("remove container", { container }, STORE_WRITE_MS, (abortSignal) =>
    unless(isMissing, retrying.getContainerClient(container).delete({ abortSignal })),
  );
}
