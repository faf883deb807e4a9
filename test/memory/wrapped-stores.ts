import type { WorkQueue } from "../../replication/operations/work-queue.ts";
import type {
  CacheAccess,
  DiskSnapshots,
  ItemStores,
  RecordStore,
  RestoreAccess,
  TargetDisks,
} from "../../replication/ports.ts";

/** One call of a port, before it is made. `target` is the record's name, the disk's id, or the item's. */
export interface PortCall {
  /**
   * `cache`: everything that needs the cache account, including whole containers, quarantine and grants. `items`: items
   * as a whole in the target account. `records` includes what outlives items, and records that belong to no item.
   */
  readonly port: "cache" | "records" | "disks" | "snapshots" | "items" | "queue" | "access";
  readonly method: string;
  readonly target: string;
  /** Reads answer `store-unavailable` when they fail, everything else `outcome-unknown`. */
  readonly kind: "read" | "write" | "list";
}

/** Decides if, when and how often `run` happens, and what the caller gets. */
export type Around = <Result>(call: PortCall, run: () => Promise<Result>) => Promise<Result>;

/** The same stores, with every call going through `around`: for faults, counting and scheduling. */
export function wrapStores(inner: ItemStores, around: Around): ItemStores {
  const call = (
    port: PortCall["port"],
    method: string,
    target: string,
    kind: PortCall["kind"] = "write",
  ): PortCall => ({
    port,
    method,
    target,
    kind,
  });
  return {
    cache: (itemId, stream) => wrapRecords("cache", inner.cache(itemId, stream), around),
    management: (itemId) => wrapRecords("records", inner.management(itemId), around),
    records: (itemId) => wrapRecords("records", inner.records(itemId), around),
    disks: wrapDisks(inner.disks, around),
    snapshots: wrapSnapshots(inner.snapshots, around),
    listItems: (limit, after) => around(call("items", "listItems", "", "list"), () => inner.listItems(limit, after)),
    // Containers of both accounts are made.
    createContainers: (itemId, stream) =>
      around(call("cache", "createContainers", itemId), () => inner.createContainers(itemId, stream)),
    removeTargetData: (itemId, lastStream) =>
      around(call("items", "removeTargetData", itemId), () => inner.removeTargetData(itemId, lastStream)),
    removeCacheData: (itemId, lastStream) =>
      around(call("cache", "removeCacheData", itemId), () => inner.removeCacheData(itemId, lastStream)),
    forgetItem: (itemId, lastStream) =>
      around(call("items", "forgetItem", itemId), () => inner.forgetItem(itemId, lastStream)),
    listStreams: (itemId, place) =>
      around(call(place === "cache" ? "cache" : "items", "listStreams", itemId, "list"), () =>
        inner.listStreams(itemId, place),
      ),
    removeStream: (itemId, stream, place) =>
      around(call(place === "cache" ? "cache" : "items", "removeStream", itemId), () =>
        inner.removeStream(itemId, stream, place),
      ),
    quarantine: (itemId, stream, name, reason, etag) =>
      around(call("cache", "quarantine", name), () => inner.quarantine(itemId, stream, name, reason, etag)),
  };
}

export function wrapRecords(port: "cache" | "records", inner: RecordStore, around: Around): RecordStore {
  const call = (method: string, target: string, kind: PortCall["kind"]): PortCall => ({ port, method, target, kind });
  return {
    read: (name, maxBytes) => around(call("read", name, "read"), () => inner.read(name, maxBytes)),
    create: (name, bytes) => around(call("create", name, "write"), () => inner.create(name, bytes)),
    replace: (name, bytes, etag) => around(call("replace", name, "write"), () => inner.replace(name, bytes, etag)),
    put: (name, bytes) => around(call("put", name, "write"), () => inner.put(name, bytes)),
    remove: (name, etag) => around(call("remove", name, "write"), () => inner.remove(name, etag)),
    list: (prefix, limit, after) => around(call("list", prefix, "list"), () => inner.list(prefix, limit, after)),
  };
}

export function wrapQueue(inner: WorkQueue, around: Around): WorkQueue {
  return {
    send: (message, delayMs) =>
      around({ port: "queue", method: "send", target: message.kind, kind: "write" }, () =>
        inner.send(message, delayMs),
      ),
  };
}

/** A grant is signed with a key of its account: the cache's is in the source region. */
export function wrapCacheAccess(inner: CacheAccess, around: Around): CacheAccess {
  return {
    ...inner,
    grantCreate: (...given) =>
      around({ port: "cache", method: "grantCreate", target: given[0], kind: "read" }, () =>
        inner.grantCreate(...given),
      ),
  };
}

export function wrapRestoreAccess(inner: RestoreAccess, around: Around): RestoreAccess {
  return {
    grantRead: (disk) =>
      around({ port: "access", method: "grantRead", target: disk.diskId, kind: "read" }, () => inner.grantRead(disk)),
  };
}

function wrapSnapshots(inner: DiskSnapshots, around: Around): DiskSnapshots {
  const call = (method: string, target: string, kind: PortCall["kind"] = "write"): PortCall => ({
    port: "snapshots",
    method,
    target,
    kind,
  });
  return {
    list: (disk) => around(call("list", disk.diskId, "list"), () => inner.list(disk)),
    remove: (disk, snapshot) => around(call("remove", disk.diskId), () => inner.remove(disk, snapshot)),
    startCopy: (disk, snapshot, destination) =>
      around(call("startCopy", disk.diskId), () => inner.startCopy(disk, snapshot, destination)),
    copyState: (destination) =>
      around(call("copyState", destination.diskId, "read"), () => inner.copyState(destination)),
    removeRestored: (destination) =>
      around(call("removeRestored", destination.diskId), () => inner.removeRestored(destination)),
    restoredUrl: (destination) => inner.restoredUrl(destination),
  };
}

function wrapDisks(inner: TargetDisks, around: Around): TargetDisks {
  const call = (method: string, target: string, kind: PortCall["kind"] = "write"): PortCall => ({
    port: "disks",
    method,
    target,
    kind,
  });
  return {
    create: (disk, sizeBytes) => around(call("create", disk.diskId), () => inner.create(disk, sizeBytes)),
    raiseSequenceNumber: (disk, generation) =>
      around(call("raiseSequenceNumber", disk.diskId), () => inner.raiseSequenceNumber(disk, generation)),
    properties: (disk) => around(call("properties", disk.diskId, "read"), () => inner.properties(disk)),
    writePages: (disk, offsetBytes, bytes, generation) =>
      around(call("writePages", disk.diskId), () => inner.writePages(disk, offsetBytes, bytes, generation)),
    clearPages: (disk, offsetBytes, lengthBytes, generation) =>
      around(call("clearPages", disk.diskId), () => inner.clearPages(disk, offsetBytes, lengthBytes, generation)),
    snapshot: (disk, etag, pointId) => around(call("snapshot", disk.diskId), () => inner.snapshot(disk, etag, pointId)),
  };
}
