import { inLanes } from "../replication/apply/lanes.ts";
import {
  ITEM_RECORD,
  cacheContainer,
  cacheContainersPrefix,
  diskContainer,
  diskContainersPrefix,
  isLastingRecord,
  itemContainer,
  quarantineContainer,
  restoreContainer,
} from "../replication/items/names.ts";
import { DISK_REQUESTS_IN_FLIGHT, LIST_PAGES_MAX_COUNT, LIST_PAGE_MAX_COUNT } from "../replication/limits.ts";
import type { BlobAccount } from "./connections.ts";
import { listStreams, removeContainer } from "./containers.ts";
import { openRecords } from "./records.ts";

/** Everything of one item but what outlives it. */
export async function removeItem(cache: BlobAccount, target: BlobAccount, itemId: string): Promise<void> {
  const records = openRecords(target, itemContainer(itemId));
  // Without it no worker begins anything.
  await records.remove(ITEM_RECORD);
  for (const stream of await listStreams(cache, cacheContainersPrefix(itemId)))
    await removeContainer(cache, cacheContainer(itemId, stream));
  await removeContainer(cache, quarantineContainer(itemId));
  await removeContainer(target, restoreContainer(itemId));
  for (const stream of await listStreams(target, diskContainersPrefix(itemId)))
    await removeContainer(target, diskContainer(itemId, stream));
  let after: string | undefined;
  for (let page = 0; page < LIST_PAGES_MAX_COUNT; page += 1) {
    const names = (await records.list("", LIST_PAGE_MAX_COUNT, after)).map(({ name }) => name);
    if (names.length === 0) return;
    await inLanes(
      DISK_REQUESTS_IN_FLIGHT,
      names.filter((name) => !isLastingRecord(name)),
      (name) => records.remove(name),
    );
    after = names.at(-1);
  }
}
