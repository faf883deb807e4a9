import type { BlobItem, PageBlobClient } from "@azure/storage-blob";
import { type ErrorFacts, LeewardError } from "../replication/errors.ts";
import { LIST_PAGE_MAX_COUNT, STORE_READ_MS, STORE_WRITE_MS } from "../replication/limits.ts";
import { diskBlobName, diskContainer, restoreContainer, restoredBlobName } from "../replication/names.ts";
import type { CopyState, DiskSnapshot, DiskSnapshots, RestoredDisk, TargetDisk } from "../replication/ports.ts";
import type { BlobAccount } from "./connections.ts";
import { isMissing, isTaken, reading, unless, writing } from "./errors.ts";
import { firstItems } from "./listing.ts";
import { POINT_METADATA } from "./target-disks.ts";

/** Snapshots and the copies made from them. Every request here may land twice, so the client retries. */
export function openDiskSnapshots(account: BlobAccount): DiskSnapshots {
  const { retrying } = account;
  const base = (disk: TargetDisk): PageBlobClient =>
    retrying.getContainerClient(diskContainer(disk.itemId, disk.stream)).getPageBlobClient(diskBlobName(disk.diskId));
  const restored = (disk: RestoredDisk): PageBlobClient => restoredBlob(account, disk);

  return {
    list: (disk) => listSnapshots(account, disk),
    remove: async (disk, snapshot) => {
      await writing("remove snapshot", { ...factsOf(disk), snapshot }, STORE_WRITE_MS, (abortSignal) =>
        unless(isMissing, base(disk).withSnapshot(snapshot).delete({ abortSignal })),
      );
    },
    startCopy: async (disk, snapshot, destination) => {
      const facts = { ...factsOf(disk), snapshot, restoreId: destination.restoreId };
      const container = retrying.getContainerClient(restoreContainer(destination.itemId));
      await writing("start copy", facts, STORE_WRITE_MS, async (abortSignal) => {
        await container.createIfNotExists({ abortSignal });
        // Checked first: a copy may exist whose source retention has removed since.
        if ((await unless(isMissing, restored(destination).getProperties({ abortSignal }))) !== undefined) return;
        // The poller is dropped: copyState reads the blob itself, from any process.
        const begun = restored(destination).beginCopyFromURL(base(disk).withSnapshot(snapshot).url, {
          abortSignal,
          conditions: { ifNoneMatch: "*" },
        });
        await unless(isTaken, begun).catch((error: unknown) => {
          if (!isMissing(error)) throw error;
          throw new LeewardError("point-pruned", `The snapshot of disk ${disk.diskId} is gone.`, facts);
        });
      });
    },
    copyState: (destination) => readCopyState(restored(destination), restoredFacts(destination)),
    removeRestored: async (destination) => {
      await writing("remove restored disk", restoredFacts(destination), STORE_WRITE_MS, async (abortSignal) => {
        const found = await unless(isMissing, restored(destination).getProperties({ abortSignal }));
        if (found === undefined) return;
        // A blob cannot be removed while a copy to it runs; one that has just ended refuses to be aborted, which is
        // fine.
        const { copyId, copyStatus } = found;
        if (copyStatus === "pending" && copyId !== undefined) {
          await unless(() => true, restored(destination).abortCopyFromURL(copyId, { abortSignal }));
        }
        await unless(isMissing, restored(destination).delete({ deleteSnapshots: "include", abortSignal }));
      });
    },
    restoredUrl: async (destination) => restored(destination).url,
  };
}

/** The blob of a restored disk; RestoreAccess signs its address. */
export function restoredBlob(account: BlobAccount, disk: RestoredDisk): PageBlobClient {
  return account.retrying
    .getContainerClient(restoreContainer(disk.itemId))
    .getPageBlobClient(restoredBlobName(disk.restoreId, disk.diskId, disk.attempt));
}

async function listSnapshots(account: BlobAccount, disk: TargetDisk): Promise<readonly DiskSnapshot[]> {
  const container = account.retrying.getContainerClient(diskContainer(disk.itemId, disk.stream));
  const name = diskBlobName(disk.diskId);
  return reading("list snapshots", factsOf(disk), STORE_READ_MS, async (abortSignal) => {
    const pages = container
      .listBlobsFlat({ prefix: name, includeSnapshots: true, includeMetadata: true, abortSignal })
      .byPage({ maxPageSize: LIST_PAGE_MAX_COUNT });
    const found = firstItems(
      pages,
      (page) => page.segment.blobItems.filter((item) => item.name === name).flatMap(snapshotOf),
      Number.POSITIVE_INFINITY,
    );
    const snapshots = (await unless(isMissing, found)) ?? [];
    // Ids are times of fixed width, so their text sorts as time does.
    return [...snapshots].sort((left, right) => (left.snapshot < right.snapshot ? -1 : 1));
  });
}

/** The id of a snapshot is its creation time; `createdOn` would be that of the base blob. */
function snapshotOf(item: BlobItem): readonly DiskSnapshot[] {
  if (item.snapshot === undefined || item.snapshot === "") return [];
  return [{ snapshot: item.snapshot, pointId: item.metadata?.[POINT_METADATA], createdMs: Date.parse(item.snapshot) }];
}

async function readCopyState(blob: PageBlobClient, facts: ErrorFacts): Promise<CopyState> {
  const found = await reading("read copy state", facts, STORE_READ_MS, (abortSignal) =>
    unless(isMissing, blob.getProperties({ abortSignal })),
  );
  if (found === undefined) return { kind: "missing" };
  switch (found.copyStatus) {
    case "success":
      return { kind: "success" };
    case "pending": {
      const [copiedBytes = 0, totalBytes = 0] = (found.copyProgress ?? "").split("/").map(Number);
      return { kind: "pending", copiedBytes, totalBytes };
    }
    case "failed":
    case "aborted":
      return { kind: "failed", reason: found.copyStatusDescription ?? found.copyStatus };
    case undefined:
    default:
      return { kind: "failed", reason: "The blob was not made by a copy." };
  }
}

function factsOf(disk: TargetDisk): ErrorFacts {
  return { itemId: disk.itemId, stream: disk.stream, diskId: disk.diskId };
}

function restoredFacts(disk: RestoredDisk): ErrorFacts {
  return { itemId: disk.itemId, restoreId: disk.restoreId, diskId: disk.diskId };
}
