import {
  ITEM_CONTAINER_PREFIX,
  cacheContainer,
  cacheContainersPrefix,
  diskContainer,
  diskContainersPrefix,
  itemContainer,
  itemOfItemContainer,
} from "../replication/names.ts";
import { placedRecords } from "../replication/records/placed-records.ts";
import { LIST_PAGE_MAX_COUNT, STORE_READ_MS, STORE_WRITE_MS } from "../replication/limits.ts";
import type { ItemStores } from "../replication/ports.ts";
import type { BlobAccount } from "./connections.ts";
import { listStreams, removeContainer } from "./containers.ts";
import { openDiskSnapshots } from "./disk-snapshots.ts";
import { reading, writing } from "./errors.ts";
import { firstItems } from "./listing.ts";
import { moveToQuarantine } from "./quarantine.ts";
import { openRecords } from "./records.ts";
import { forgetItem, removeCacheData, removeTargetData } from "./remove-item.ts";
import { openTargetDisks } from "./target-disks.ts";

/** The stores of all items: deltas in the cache account, everything else in the target account. */
export function openItemStores(cache: BlobAccount, target: BlobAccount): ItemStores {
  const places = {
    cache: { account: cache, container: cacheContainer, prefix: cacheContainersPrefix },
    target: { account: target, container: diskContainer, prefix: diskContainersPrefix },
  } as const;
  return {
    cache: (itemId, stream) => openRecords(cache, cacheContainer(itemId, stream)),
    records: (itemId) => placedRecords(openRecords(target, itemContainer(itemId)), itemContainer(itemId)),
    disks: openTargetDisks(target),
    snapshots: openDiskSnapshots(target),
    listItems: (limit, after) => listItems(target, limit, after),
    createContainers: (itemId, stream) =>
      writing("create containers", { itemId, stream }, STORE_WRITE_MS, async (abortSignal) => {
        await cache.retrying.getContainerClient(cacheContainer(itemId, stream)).createIfNotExists({ abortSignal });
        await target.retrying.getContainerClient(itemContainer(itemId)).createIfNotExists({ abortSignal });
        await target.retrying.getContainerClient(diskContainer(itemId, stream)).createIfNotExists({ abortSignal });
      }),
    listStreams: (itemId, place) => listStreams(places[place].account, places[place].prefix(itemId)),
    removeStream: (itemId, stream, place) =>
      removeContainer(places[place].account, places[place].container(itemId, stream)),
    removeTargetData: (itemId, lastStream) => removeTargetData(target, itemId, lastStream),
    removeCacheData: (itemId, lastStream) => removeCacheData(cache, itemId, lastStream),
    forgetItem: (itemId, lastStream) => forgetItem(target, itemId, lastStream),
    quarantine: (itemId, stream, name, reason, etag) => moveToQuarantine(cache, { itemId, stream, name }, reason, etag),
  };
}

async function listItems(target: BlobAccount, limit: number, after = ""): Promise<readonly string[]> {
  return reading("list items", {}, STORE_READ_MS, (abortSignal) =>
    firstItems(
      target.retrying
        .listContainers({ prefix: ITEM_CONTAINER_PREFIX, abortSignal })
        .byPage({ maxPageSize: LIST_PAGE_MAX_COUNT }),
      (page) =>
        page.containerItems
          .map((container) => itemOfItemContainer(container.name))
          .filter((itemId) => itemId !== undefined)
          .filter((itemId) => itemId > after),
      limit,
    ),
  );
}
