import { LeewardError, invariant } from "../../replication/errors.ts";
import { PUT_PAGE_MAX_BYTES, SECTOR_BYTES } from "../../replication/limits.ts";
import { restoredBlobName } from "../../replication/names.ts";
import type { Clock, DiskSnapshots, RestoredDisk, TargetDisk, TargetDisks } from "../../replication/ports.ts";

/** Written pages by number; pages never change, so copying the map copies the disk. */
type Pages = Map<number, Uint8Array>;

interface MemoryDisk {
  readonly sizeBytes: number;
  readonly pages: Pages;
  readonly snapshots: MemorySnapshot[];
  sequenceNumber: number;
  etag: number;
}

interface MemorySnapshot {
  readonly snapshot: string;
  readonly pointId: string | undefined;
  readonly createdMs: number;
  readonly pages: Pages;
}

interface RestoredBlob {
  readonly sizeBytes: number;
  readonly pages: Pages;
}

/** Target disks, their snapshots and blobs copied from them, with readers for the test. */
export interface MemoryDisks {
  readonly disks: TargetDisks;
  readonly snapshots: DiskSnapshots;
  content(disk: TargetDisk): Uint8Array;
  snapshotContent(disk: TargetDisk, snapshot: string): Uint8Array | undefined;
  /** Only written pages, by page number; undefined when there is no such disk or snapshot. */
  pages(disk: TargetDisk): ReadonlyMap<number, Uint8Array> | undefined;
  snapshotPages(disk: TargetDisk, snapshot: string): ReadonlyMap<number, Uint8Array> | undefined;
  restoredContent(disk: RestoredDisk): Uint8Array | undefined;
  /** The streams that have target disks. */
  streams(itemId: string): readonly number[];
  /** Removes the disks of one stream with their snapshots. */
  removeStream(itemId: string, stream: number): void;
  /** Removes all disks, snapshots and restored blobs of an item. */
  removeItem(itemId: string): Promise<void>;
  /** The etag, fence and snapshots of every disk, and every restored blob: equal when nothing changed in between. */
  dump(): Readonly<Record<string, string>>;
  /** A snapshot without a point's id, as other tools do. */
  snapshotByOthers(disk: TargetDisk): void;
}

export function createMemoryDisks(clock: Clock): MemoryDisks {
  const blobs = new Map<string, MemoryDisk>();
  const restored = new Map<string, RestoredBlob>();
  let snapshotCount = 0;

  const keyOf = (disk: TargetDisk): string => `${disk.itemId}/${disk.stream}/${disk.diskId}`;
  const restoredKey = ({ itemId, restoreId, diskId, attempt = 0 }: RestoredDisk): string =>
    `${itemId}/${restoredBlobName(restoreId, diskId, attempt)}`;
  function find(disk: TargetDisk): MemoryDisk {
    const found = blobs.get(keyOf(disk));
    if (found === undefined) throw new LeewardError("internal", "There is no such target disk.", { disk: keyOf(disk) });
    return found;
  }
  function fenced(disk: TargetDisk, generation: number): MemoryDisk {
    const found = find(disk);
    if (found.sequenceNumber > generation) {
      throw new LeewardError("fenced", "The disk belongs to a newer generation.", {
        generation,
        found: found.sequenceNumber,
      });
    }
    return found;
  }
  function take(disk: MemoryDisk, pointId: string | undefined): string {
    snapshotCount += 1;
    // Azure's snapshot ids are times with seven decimals: they differ even within one millisecond.
    const snapshot = `${String(clock.now()).padStart(15, "0")}.${String(snapshotCount).padStart(7, "0")}`;
    disk.snapshots.push({ snapshot, pointId, createdMs: clock.now(), pages: new Map(disk.pages) });
    return snapshot;
  }

  return {
    disks: createTargetDisks(blobs, keyOf, find, fenced, take),
    snapshots: createDiskSnapshots(blobs, restored, keyOf, restoredKey),
    content(disk) {
      const { pages, sizeBytes } = find(disk);
      return flatten(pages, sizeBytes);
    },
    snapshotContent(disk, snapshot) {
      const found = find(disk);
      const taken = found.snapshots.find((each) => each.snapshot === snapshot);
      return taken === undefined ? undefined : flatten(taken.pages, found.sizeBytes);
    },
    pages: (disk) => blobs.get(keyOf(disk))?.pages,
    snapshotPages: (disk, snapshot) =>
      blobs.get(keyOf(disk))?.snapshots.find((each) => each.snapshot === snapshot)?.pages,
    restoredContent(disk) {
      const found = restored.get(restoredKey(disk));
      return found === undefined ? undefined : flatten(found.pages, found.sizeBytes);
    },
    streams: (itemId) => [
      ...new Set([...blobs.keys()].flatMap((key) => (key.startsWith(`${itemId}/`) ? [Number(key.split("/")[1])] : []))),
    ],
    removeStream(itemId, stream) {
      for (const key of blobs.keys()) if (key.startsWith(`${itemId}/${stream}/`)) blobs.delete(key);
    },
    async removeItem(itemId) {
      for (const key of blobs.keys()) if (key.startsWith(`${itemId}/`)) blobs.delete(key);
      for (const key of restored.keys()) if (key.startsWith(`${itemId}/`)) restored.delete(key);
    },
    dump: () => ({
      ...Object.fromEntries(
        [...blobs].map(([key, { etag, sequenceNumber, sizeBytes, snapshots }]) => [
          key,
          JSON.stringify({ etag, sequenceNumber, sizeBytes, snapshots: snapshots.map(({ snapshot }) => snapshot) }),
        ]),
      ),
      ...Object.fromEntries([...restored].map(([key, { sizeBytes }]) => [`restored ${key}`, String(sizeBytes)])),
    }),
    snapshotByOthers(disk) {
      take(find(disk), undefined);
    },
  };
}

function createTargetDisks(
  blobs: Map<string, MemoryDisk>,
  keyOf: (disk: TargetDisk) => string,
  find: (disk: TargetDisk) => MemoryDisk,
  fenced: (disk: TargetDisk, generation: number) => MemoryDisk,
  take: (disk: MemoryDisk, pointId: string) => string,
): TargetDisks {
  return {
    async create(disk, sizeBytes) {
      const found = blobs.get(keyOf(disk));
      if (found === undefined) {
        blobs.set(keyOf(disk), { sizeBytes, pages: new Map(), snapshots: [], sequenceNumber: 0, etag: 1 });
      } else if (found.sizeBytes !== sizeBytes) {
        throw new LeewardError("conflict", "The target disk has another size.", { sizeBytes, found: found.sizeBytes });
      }
    },
    async raiseSequenceNumber(disk, generation) {
      const found = find(disk);
      found.sequenceNumber = Math.max(found.sequenceNumber, generation);
      found.etag += 1;
      return found.sequenceNumber;
    },
    async properties(disk) {
      const found = blobs.get(keyOf(disk));
      return found === undefined
        ? undefined
        : { etag: `"disk-${found.etag}"`, sequenceNumber: found.sequenceNumber, sizeBytes: found.sizeBytes };
    },
    async writePages(disk, offsetBytes, bytes, generation) {
      expectPages(offsetBytes, bytes.length);
      invariant(bytes.length <= PUT_PAGE_MAX_BYTES, "a Put Page carries at most 4 MiB", { lengthBytes: bytes.length });
      const found = fenced(disk, generation);
      invariant(offsetBytes + bytes.length <= found.sizeBytes, "pages lie inside the disk", { offsetBytes });
      for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
        found.pages.set((offsetBytes + at) / SECTOR_BYTES, bytes.slice(at, at + SECTOR_BYTES));
      }
      found.etag += 1;
    },
    async clearPages(disk, offsetBytes, lengthBytes, generation) {
      expectPages(offsetBytes, lengthBytes);
      const found = fenced(disk, generation);
      invariant(offsetBytes + lengthBytes <= found.sizeBytes, "pages lie inside the disk", { offsetBytes });
      for (let at = 0; at < lengthBytes; at += SECTOR_BYTES) found.pages.delete((offsetBytes + at) / SECTOR_BYTES);
      found.etag += 1;
    },
    async snapshot(disk, etag, pointId) {
      const found = find(disk);
      return `"disk-${found.etag}"` === etag ? take(found, pointId) : undefined;
    },
  };
}

function createDiskSnapshots(
  blobs: ReadonlyMap<string, MemoryDisk>,
  restored: Map<string, RestoredBlob>,
  keyOf: (disk: TargetDisk) => string,
  restoredKey: (disk: RestoredDisk) => string,
): DiskSnapshots {
  return {
    async list(disk) {
      const found = blobs.get(keyOf(disk))?.snapshots ?? [];
      return found.map(({ snapshot, pointId, createdMs }) => ({ snapshot, pointId, createdMs }));
    },
    async remove(disk, snapshot) {
      const found = blobs.get(keyOf(disk))?.snapshots ?? [];
      const index = found.findIndex((each) => each.snapshot === snapshot);
      if (index >= 0) found.splice(index, 1);
    },
    async startCopy(disk, snapshot, destination) {
      if (restored.has(restoredKey(destination))) return;
      const found = blobs.get(keyOf(disk));
      const taken = found?.snapshots.find((each) => each.snapshot === snapshot);
      if (found === undefined || taken === undefined) {
        throw new LeewardError("point-pruned", "The snapshot is gone.", { disk: disk.diskId, snapshot });
      }
      restored.set(restoredKey(destination), { sizeBytes: found.sizeBytes, pages: new Map(taken.pages) });
    },
    async copyState(destination) {
      return restored.has(restoredKey(destination)) ? { kind: "success" } : { kind: "missing" };
    },
    async removeRestored(destination) {
      restored.delete(restoredKey(destination));
    },
    restoredUrl: async (destination) =>
      `https://memory.invalid/leeward-restore-${destination.itemId}/${restoredBlobName(destination.restoreId, destination.diskId, destination.attempt)}`,
  };
}

function expectPages(offsetBytes: number, lengthBytes: number): void {
  invariant(offsetBytes >= 0 && offsetBytes % SECTOR_BYTES === 0, "pages begin at 512 bytes", { offsetBytes });
  invariant(lengthBytes > 0 && lengthBytes % SECTOR_BYTES === 0, "pages are whole", { lengthBytes });
}

function flatten(pages: Pages, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (const [page, content] of pages) bytes.set(content, page * SECTOR_BYTES);
  return bytes;
}
