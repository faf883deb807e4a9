import { LIST_PAGE_MAX_COUNT, STORE_READ_MS, STORE_WRITE_MS } from "../replication/limits.ts";
import {
  MANAGEMENT_CONTAINER_PREFIX,
  cacheContainer,
  cacheContainersPrefix,
  diskContainer,
  diskContainersPrefix,
  itemContainer,
  itemOfManagementContainer,
  managementContainer,
} from "../replication/names.ts";
import type { Clock, DiskSnapshots, ItemStores, RecordStore, TargetDisks } from "../replication/ports.ts";
import { placedRecords } from "../replication/records/placed-records.ts";
import type { Accounts, ItemAccounts } from "./accounts.ts";
import { type Circuit, openCircuit, throughCircuit } from "./circuit.ts";
import type { BlobAccount } from "./connections.ts";
import { listStreams, removeContainer } from "./containers.ts";
import { openDiskSnapshots } from "./disk-snapshots.ts";
import { reading, writing } from "./errors.ts";
import { firstItems } from "./listing.ts";
import { moveToQuarantine } from "./quarantine.ts";
import { openRecords } from "./records.ts";
import { forgetItem, removeCacheData, removeTargetData } from "./remove-item.ts";
import { openTargetDisks } from "./target-disks.ts";

/**
 * The stores of all items: what outlives their protection in the control account, deltas in an item's cache account,
 * everything else in its replica accounts. An item's accounts are looked up with the first request that needs them. A
 * cache account that does not answer is left alone for a while.
 */
export function openItemStores(accounts: Accounts, clock: Clock): ItemStores {
  const circuits = new Map<BlobAccount, Circuit>();
  const circuitOf = (account: BlobAccount): Circuit => {
    const circuit = circuits.get(account) ?? openCircuit(clock);
    circuits.set(account, circuit);
    return circuit;
  };
  const cacheOf = async (itemId: string): Promise<BlobAccount> => (await accounts.of(itemId)).cache;
  const atCache = async <Result>(itemId: string, use: (cache: BlobAccount) => Promise<Result>): Promise<Result> => {
    const cache = await cacheOf(itemId);
    return circuitOf(cache).run(() => use(cache));
  };
  const recordsOf = async (itemId: string): Promise<BlobAccount> => (await accounts.of(itemId)).replicas[0];
  return {
    cache: (itemId, stream) =>
      openedLater(async () => {
        const cache = await cacheOf(itemId);
        return throughCircuit(circuitOf(cache), openRecords(cache, cacheContainer(itemId, stream)));
      }),
    management: (itemId) => {
      const container = managementContainer(itemId);
      return placedRecords(openRecords(accounts.control, container), container);
    },
    records: (itemId) => {
      const container = itemContainer(itemId);
      return placedRecords(
        openedLater(async () => openRecords(await recordsOf(itemId), container)),
        container,
      );
    },
    disks: spreadDisks(accounts),
    snapshots: spreadSnapshots(accounts),
    listItems: (limit, after) => listItems(accounts.control, limit, after),
    createContainers: async (itemId, stream) => createContainers(accounts, await accounts.of(itemId), itemId, stream),
    listStreams: async (itemId, place) => {
      if (place === "cache") return atCache(itemId, (cache) => listStreams(cache, cacheContainersPrefix(itemId)));
      const { replicas } = await accounts.of(itemId);
      const found = await Promise.all(replicas.map((replica) => listStreams(replica, diskContainersPrefix(itemId))));
      return [...new Set(found.flat())].toSorted((left, right) => left - right);
    },
    removeStream: async (itemId, stream, place) => {
      if (place === "cache") return atCache(itemId, (cache) => removeContainer(cache, cacheContainer(itemId, stream)));
      for (const replica of (await accounts.of(itemId)).replicas)
        await removeContainer(replica, diskContainer(itemId, stream));
    },
    removeTargetData: async (itemId, lastStream) =>
      removeTargetData((await accounts.of(itemId)).replicas, itemId, lastStream),
    removeCacheData: (itemId, lastStream) => atCache(itemId, (cache) => removeCacheData(cache, itemId, lastStream)),
    forgetItem: async (itemId, lastStream) => forgetItem(await recordsOf(itemId), itemId, lastStream),
    quarantine: (itemId, stream, name, reason, etag) =>
      atCache(itemId, (cache) => moveToQuarantine(cache, { itemId, stream, name }, reason, etag)),
  };
}

/** A store whose account is known when the first request is sent. */
function openedLater(open: () => Promise<RecordStore>): RecordStore {
  return {
    read: async (...given) => (await open()).read(...given),
    create: async (...given) => (await open()).create(...given),
    replace: async (...given) => (await open()).replace(...given),
    put: async (...given) => (await open()).put(...given),
    remove: async (...given) => (await open()).remove(...given),
    list: async (...given) => (await open()).list(...given),
  };
}

function spreadDisks(accounts: Accounts): TargetDisks {
  const of = async ({ itemId, diskId }: { readonly itemId: string; readonly diskId: string }): Promise<TargetDisks> =>
    openTargetDisks((await accounts.of(itemId)).replicaOf(diskId));
  return {
    create: async (disk, ...given) => (await of(disk)).create(disk, ...given),
    raiseSequenceNumber: async (disk, ...given) => (await of(disk)).raiseSequenceNumber(disk, ...given),
    properties: async (disk) => (await of(disk)).properties(disk),
    writePages: async (disk, ...given) => (await of(disk)).writePages(disk, ...given),
    clearPages: async (disk, ...given) => (await of(disk)).clearPages(disk, ...given),
    snapshot: async (disk, ...given) => (await of(disk)).snapshot(disk, ...given),
  };
}

/** A copy lies in the account of the disk that it was made from. */
function spreadSnapshots(accounts: Accounts): DiskSnapshots {
  const of = async ({ itemId, diskId }: { readonly itemId: string; readonly diskId: string }): Promise<DiskSnapshots> =>
    openDiskSnapshots((await accounts.of(itemId)).replicaOf(diskId));
  return {
    list: async (disk) => (await of(disk)).list(disk),
    remove: async (disk, snapshot) => (await of(disk)).remove(disk, snapshot),
    startCopy: async (disk, ...given) => (await of(disk)).startCopy(disk, ...given),
    copyState: async (destination) => (await of(destination)).copyState(destination),
    removeRestored: async (destination) => (await of(destination)).removeRestored(destination),
    restoredUrl: async (destination) => (await of(destination)).restoredUrl(destination),
  };
}

/** The index of items first: what is made under a name that nobody knows would never be removed. */
async function createContainers(
  { control }: Accounts,
  { cache, replicas }: ItemAccounts,
  itemId: string,
  stream: number,
): Promise<void> {
  await writing("create containers", { itemId, stream }, STORE_WRITE_MS, async (abortSignal) => {
    const make = (account: BlobAccount, container: string): Promise<unknown> =>
      account.retrying.getContainerClient(container).createIfNotExists({ abortSignal });
    await make(control, managementContainer(itemId));
    await make(cache, cacheContainer(itemId, stream));
    await make(replicas[0], itemContainer(itemId));
    for (const replica of replicas) await make(replica, diskContainer(itemId, stream));
  });
}

async function listItems(control: BlobAccount, limit: number, after = ""): Promise<readonly string[]> {
  return reading("list items", {}, STORE_READ_MS, (abortSignal) =>
    firstItems(
      control.retrying
        .listContainers({ prefix: MANAGEMENT_CONTAINER_PREFIX, abortSignal })
        .byPage({ maxPageSize: LIST_PAGE_MAX_COUNT }),
      (page) =>
        page.containerItems
          .map((container) => itemOfManagementContainer(container.name))
          .filter((itemId) => itemId !== undefined)
          .filter((itemId) => itemId > after),
      limit,
    ),
  );
}
