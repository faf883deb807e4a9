import type { ItemStores, RecordStore, TargetDisks } from "../../replication/ports.ts";

/** One call of a port, before it is made. `target` is the record's name, or the disk's id. */
export interface PortCall {
  readonly port: "cache" | "records" | "disks";
  readonly method: string;
  readonly target: string;
  /** Reads answer `store-unavailable` when they fail, everything else `outcome-unknown`. */
  readonly kind: "read" | "write" | "list";
}

/** Decides when, how often and whether at all `run` happens, and what the caller gets. */
export type Around = <Result>(call: PortCall, run: () => Promise<Result>) => Promise<Result>;

/** The same stores, with every call of cache, records and target disks going through `around`: for faults, counting and scheduling. */
export function wrapStores(inner: ItemStores, around: Around): ItemStores {
  return {
    ...inner,
    cache: (itemId, stream) => wrapRecords("cache", inner.cache(itemId, stream), around),
    records: (itemId) => wrapRecords("records", inner.records(itemId), around),
    disks: wrapDisks(inner.disks, around),
  };
}

function wrapRecords(port: "cache" | "records", inner: RecordStore, around: Around): RecordStore {
  const call = (method: string, target: string, kind: PortCall["kind"]): PortCall => ({ port, method, target, kind });
  return {
    read: (name, maxBytes) => around(call("read", name, "read"), () => inner.read(name, maxBytes)),
    create: (name, bytes) => around(call("create", name, "write"), () => inner.create(name, bytes)),
    replace: (name, bytes, etag) => around(call("replace", name, "write"), () => inner.replace(name, bytes, etag)),
    put: (name, bytes) => around(call("put", name, "write"), () => inner.put(name, bytes)),
    remove: (name) => around(call("remove", name, "write"), () => inner.remove(name)),
    list: (prefix, limit, after) => around(call("list", prefix, "list"), () => inner.list(prefix, limit, after)),
  };
}

function wrapDisks(inner: TargetDisks, around: Around): TargetDisks {
  const call = (method: string, target: string, kind: PortCall["kind"] = "write"): PortCall => ({ port: "disks", method, target, kind });
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
