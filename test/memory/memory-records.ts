import { LeewardError } from "../../replication/errors.ts";
import { DELTA_MAX_BYTES } from "../../replication/limits.ts";
import type { Clock, RecordStore } from "../../replication/ports.ts";

interface Blob {
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly createdMs: number;
}

/** One container in memory, with access for tests. */
export interface MemoryRecords extends RecordStore {
  readonly names: () => readonly string[];
  /**
   * Every blob's etag and content by name: two dumps are equal when nothing was written in between, not even the same
   * bytes.
   */
  readonly dump: () => Readonly<Record<string, string>>;
}

/** Every method does all its work at the moment of the call, so it is atomic. */
export function createMemoryRecords(clock: Clock): MemoryRecords {
  const blobs = new Map<string, Blob>();
  let writes = 0;

  function write(name: string, bytes: Uint8Array): string {
    writes += 1;
    const etag = `"record-${writes}"`;
    blobs.set(name, { bytes: bytes.slice(), etag, createdMs: clock.now() });
    return etag;
  }
  return {
    names: () => [...blobs.keys()].toSorted(),
    dump: () =>
      Object.fromEntries(
        [...blobs].map(([name, { bytes, etag }]) => [name, `${etag} ${Buffer.from(bytes).toString("latin1")}`]),
      ),
    async read(name, maxBytes = DELTA_MAX_BYTES) {
      const blob = blobs.get(name);
      if (blob === undefined) return undefined;
      if (blob.bytes.length > maxBytes) {
        const facts = { name, lengthBytes: blob.bytes.length, maxBytes, etag: blob.etag };
        throw new LeewardError("delta-too-large", `${name} is longer than asked for.`, facts);
      }
      return { bytes: blob.bytes.slice(), etag: blob.etag };
    },
    async create(name, bytes) {
      return blobs.has(name) ? undefined : write(name, bytes);
    },
    async replace(name, bytes, etag) {
      return blobs.get(name)?.etag === etag ? write(name, bytes) : undefined;
    },
    async put(name, bytes) {
      write(name, bytes);
    },
    async remove(name, etag) {
      if (etag === undefined || blobs.get(name)?.etag === etag) blobs.delete(name);
    },
    async list(prefix, limit, after) {
      return [...blobs.entries()]
        .filter(([name]) => name.startsWith(prefix) && (after === undefined || name > after))
        .toSorted(([left], [right]) => (left < right ? -1 : 1))
        .slice(0, limit)
        .map(([name, blob]) => ({ name, lengthBytes: blob.bytes.length, createdMs: blob.createdMs, etag: blob.etag }));
    },
  };
}
