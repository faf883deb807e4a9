import { inLanes } from "../replication/apply/lanes.ts";
import {
  ITEM_RECORD,
  cacheContainer,
  isDiskContainer,
  isLastingRecord,
  itemContainer,
  quarantineContainer,
  restoreContainer,
} from "../replication/items/names.ts";
import {
  DISK_REQUESTS_IN_FLIGHT,
  LIST_PAGES_MAX_COUNT,
  LIST_PAGE_MAX_COUNT,
  STORE_READ_MS,
  STORE_WRITE_MS,
} from "../replication/limits.ts";
import type { BlobAccount } from "./connections.ts";
import { isMissing, reading, unless, writing } from "./errors.ts";
import { firstItems } from "./listing.ts";
import { openRecords } from "./records.ts";

/** Everything of one item but what tells of its jobs. Azure keeps the name of a removed container busy for half a minute or more. */
export async function removeItem(cache: BlobAccount, target: BlobAccount, itemId: string): Promise<void> {
  const records = openRecords(target, itemContainer(itemId));
  // Without it no worker begins anything.
  await records.remove(ITEM_RECORD);
  await removeContainer(cache, cacheContainer(itemId));
  await removeContainer(cache, quarantineContainer(itemId));
  await removeContainer(target, restoreContainer(itemId));
  for (const container of await diskContainers(target, itemId)) await removeContainer(target, container);
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
