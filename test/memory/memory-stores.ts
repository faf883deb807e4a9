import { QUARANTINE_MAX_COUNT, STREAM_MAX } from "../../replication/limits.ts";
import { ITEM_RECORD, PROGRESS_RECORD, itemContainer, managementContainer } from "../../replication/names.ts";
import type { Clock, ItemStores, RecordStore } from "../../replication/ports.ts";
import { requireNoLaterLife } from "../../replication/records/item-record.ts";
import { placedRecords } from "../../replication/records/placed-records.ts";
import { createMemoryDisks, type MemoryDisks } from "./memory-disks.ts";
import { type MemoryRecords, createMemoryRecords } from "./memory-records.ts";

/** Few, so that a removal takes more than one call. */
const REMOVED_AT_ONCE = 2;

/** Both storage accounts in memory: the stores as the domain sees them, and access for tests. */
export interface MemoryStores {
  readonly stores: ItemStores;
  readonly memory: MemoryDisks;
  /** The item's quarantined content. */
  quarantined(itemId: string): Promise<readonly Uint8Array[]>;
  /** Names in the cache containers of all streams of the item, and in its two record containers. */
  cacheNames(itemId: string): readonly string[];
  recordNames(itemId: string): readonly string[];
  /** The item's record container as seen by another tool that copies blobs. */
  rawRecords(itemId: string): RecordStore;
  /** Everything in both accounts, by name: equal when nothing was written in between. */
  dump(): Readonly<Record<string, string>>;
}

/** `clock` is the clock of the store: creation times and snapshot ids come from it. */
export function createMemoryStores(clock: Clock): MemoryStores {
  /** By item and stream. */
  const caches = new Map<string, MemoryRecords>();
  const records = new Map<string, MemoryRecords>();
  const managements = new Map<string, MemoryRecords>();
  const quarantines = new Map<string, Uint8Array[]>();
  const items = new Set<string>();
  const memory = createMemoryDisks(clock);

  const open = (containers: Map<string, MemoryRecords>, name: string): MemoryRecords => {
    const found = containers.get(name) ?? createMemoryRecords(clock);
    containers.set(name, found);
    return found;
  };
  const cacheOf = (itemId: string, stream: number): string => `${itemId}/${stream}`;
  const streamsIn = (itemId: string): readonly number[] =>
    [...caches.keys()]
      .filter((name) => name.startsWith(`${itemId}/`))
      .map((name) => Number(name.slice(itemId.length + 1)));
  const requireThisLife = async (itemId: string, lastStream: number): Promise<void> => {
    const item = await stores.records(itemId).read(ITEM_RECORD);
    if (item !== undefined) await requireNoLaterLife(itemId, item.bytes, lastStream);
  };
  const stores: ItemStores = {
    cache: (itemId, stream): RecordStore => open(caches, cacheOf(itemId, stream)),
    management: (itemId): RecordStore => placedRecords(open(managements, itemId), managementContainer(itemId)),
    records: (itemId): RecordStore => placedRecords(open(records, itemId), itemContainer(itemId)),
    disks: memory.disks,
    snapshots: memory.snapshots,
    listItems: async (limit, after) =>
      [
        ...new Set([
          ...items,
          ...[...managements].filter(([, kept]) => kept.names().length > 0).map(([itemId]) => itemId),
        ]),
      ]
        .filter((itemId) => after === undefined || itemId > after)
        .toSorted()
        .slice(0, limit),
    createContainers: async (itemId, stream) => {
      items.add(itemId);
      open(caches, cacheOf(itemId, stream));
    },
    listStreams: async (itemId, place) =>
      (place === "cache" ? streamsIn(itemId) : memory.streams(itemId)).toSorted((left, right) => left - right),
    removeStream: async (itemId, stream, place) => {
      if (place === "cache") caches.delete(cacheOf(itemId, stream));
      else memory.removeStream(itemId, stream);
    },
    removeTargetData: async (itemId, lastStream) => {
      await requireThisLife(itemId, lastStream);
      const kept = open(records, itemId);
      const going = kept.names().filter((name) => name !== ITEM_RECORD && name !== PROGRESS_RECORD);
      for (const name of going.slice(0, REMOVED_AT_ONCE)) await kept.remove(name);
      if (going.length > REMOVED_AT_ONCE) return { more: true };
      if (memory.streams(itemId).every((stream) => stream <= lastStream)) await memory.removeItem(itemId);
      else for (const stream of memory.streams(itemId)) if (stream <= lastStream) memory.removeStream(itemId, stream);
      return { more: false };
    },
    removeCacheData: async (itemId, lastStream) => {
      for (const stream of streamsIn(itemId)) if (stream <= lastStream) caches.delete(cacheOf(itemId, stream));
      quarantines.delete(itemId);
    },
    forgetItem: async (itemId, lastStream) => {
      const kept = open(records, itemId);
      await requireThisLife(itemId, lastStream);
      for (const name of [ITEM_RECORD, PROGRESS_RECORD, ...kept.names()]) await kept.remove(name);
    },
    quarantine: async (itemId, stream, name, _reason, etag) => {
      const cache = open(caches, cacheOf(itemId, stream));
      const found = await cache.read(name);
      if (found === undefined || (etag !== undefined && etag !== found.etag)) return;
      quarantines.set(itemId, [...(quarantines.get(itemId) ?? []), found.bytes].slice(-QUARANTINE_MAX_COUNT));
      await cache.remove(name);
    },
  };
  return {
    stores,
    memory,
    quarantined: async (itemId) => quarantines.get(itemId) ?? [],
    cacheNames: (itemId) => streamsIn(itemId).flatMap((stream) => open(caches, cacheOf(itemId, stream)).names()),
    rawRecords: (itemId) => open(records, itemId),
    recordNames: (itemId) => [...open(records, itemId).names(), ...open(managements, itemId).names()].toSorted(),
    dump: () => ({
      items: [...items].toSorted().join(),
      ...dumpOf("cache", caches),
      ...dumpOf("records", records),
      ...dumpOf("management", managements),
      ...Object.fromEntries([...quarantines].map(([itemId, blobs]) => [`quarantine ${itemId}`, String(blobs.length)])),
      ...memory.dump(),
    }),
  };
}

function dumpOf(kind: string, containers: ReadonlyMap<string, MemoryRecords>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...containers].flatMap(([itemId, container]) =>
      Object.entries(container.dump()).map(([name, content]) => [`${kind} ${itemId} ${name}`, content]),
    ),
  );
}

/** Removes an item fully, in the steps of disabling. */
export async function removeItem(stores: ItemStores, itemId: string): Promise<void> {
  while ((await stores.removeTargetData(itemId, STREAM_MAX)).more);
  await stores.removeCacheData(itemId, STREAM_MAX);
  await stores.forgetItem(itemId, STREAM_MAX);
}
