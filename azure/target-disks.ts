import { createHash } from "node:crypto";
import type { PageBlobClient } from "@azure/storage-blob";
import { type ErrorFacts, invariant, LeewardError } from "../replication/errors.ts";
import { PUT_PAGE_MAX_BYTES, SECTOR_BYTES, STORE_READ_MS, STORE_WRITE_MS } from "../replication/limits.ts";
import { diskBlobName, diskContainer } from "../replication/names.ts";
import type { TargetDisk, TargetDiskProperties, TargetDisks } from "../replication/ports.ts";
import type { BlobAccount } from "./connections.ts";
import { isChanged, isMissing, isTaken, reading, unless, writing } from "./errors.ts";

/** Metadata of a snapshot that one of our points owns; names of metadata are lower-case identifiers. */
export const POINT_METADATA = "leewardpoint";

/** The blob of a disk, through both clients. */
function blobsOf(account: BlobAccount) {
  const through =
    (client: BlobAccount["once"]) =>
    (disk: TargetDisk): PageBlobClient =>
      client.getContainerClient(diskContainer(disk.itemId, disk.stream)).getPageBlobClient(diskBlobName(disk.diskId));
  return { retrying: through(account.retrying), once: through(account.once) };
}

/**
 * The target disks as page blobs. Writes guarded by the fence are sent once; reads and the create-only making of a blob
 * are retried.
 */
export function openTargetDisks(account: BlobAccount): TargetDisks {
  const { retrying, once } = blobsOf(account);
  const properties = (disk: TargetDisk): Promise<TargetDiskProperties | undefined> =>
    readProperties(retrying(disk), factsOf(disk));

  return {
    properties,
    create: async (disk, sizeBytes) => {
      const facts = { ...factsOf(disk), sizeBytes };
      const container = account.retrying.getContainerClient(diskContainer(disk.itemId, disk.stream));
      const made = await writing("create target disk", facts, STORE_WRITE_MS, async (abortSignal) => {
        await container.createIfNotExists({ abortSignal });
        return unless(isTaken, retrying(disk).create(sizeBytes, { conditions: { ifNoneMatch: "*" }, abortSignal }));
      });
      if (made !== undefined) return;
      const found = await properties(disk);
      if (found?.sizeBytes !== sizeBytes) {
        throw new LeewardError("conflict", `The target disk ${disk.diskId} exists with another size.`, {
          ...facts,
          foundBytes: found?.sizeBytes,
        });
      }
    },
    raiseSequenceNumber: async (disk, generation) => {
      await writing("raise sequence number", { ...factsOf(disk), generation }, STORE_WRITE_MS, (abortSignal) =>
        once(disk).updateSequenceNumber("max", generation, { abortSignal }),
      );
      // `max` answers success even for a higher existing number, so only a read shows it.
      const found = await properties(disk);
      if (found !== undefined) return found.sequenceNumber;
      const message = `The target disk ${disk.diskId} vanished while it was claimed.`;
      throw new LeewardError("store-unavailable", message, factsOf(disk));
    },
    writePages: async (disk, offsetBytes, bytes, generation) => {
      const facts = { ...factsOf(disk), offsetBytes, lengthBytes: bytes.length, generation };
      const fits = aligned(offsetBytes, bytes.length) && bytes.length <= PUT_PAGE_MAX_BYTES;
      invariant(fits, "a Put Page is aligned and at most 4 MiB", facts);
      await writing("write pages", facts, STORE_WRITE_MS, (abortSignal) =>
        once(disk).uploadPages(bytes, offsetBytes, bytes.length, {
          abortSignal,
          conditions: { ifSequenceNumberLessThanOrEqualTo: generation },
          transactionalContentMD5: createHash("md5").update(bytes).digest(),
        }),
      );
    },
    clearPages: async (disk, offsetBytes, lengthBytes, generation) => {
      const facts = { ...factsOf(disk), offsetBytes, lengthBytes, generation };
      invariant(aligned(offsetBytes, lengthBytes), "a Clear Pages is aligned", facts);
      await writing("clear pages", facts, STORE_WRITE_MS, (abortSignal) =>
        once(disk).clearPages(offsetBytes, lengthBytes, {
          abortSignal,
          conditions: { ifSequenceNumberLessThanOrEqualTo: generation },
        }),
      );
    },
    // Sent once: repeated after a lost answer it would leave a second snapshot under the same point.
    snapshot: async (disk, etag, pointId) => {
      const answer = await writing("snapshot", { ...factsOf(disk), pointId }, STORE_WRITE_MS, (abortSignal) =>
        unless(
          isChanged,
          once(disk).createSnapshot({ abortSignal, conditions: { ifMatch: etag }, metadata: metadataOf(pointId) }),
        ),
      );
      if (answer === undefined) return undefined;
      if (answer.snapshot !== undefined) return answer.snapshot;
      const message = "The storage account answered a snapshot without its id.";
      throw new LeewardError("outcome-unknown", message, factsOf(disk));
    },
  };
}

const metadataOf = (pointId: string) => ({ [POINT_METADATA]: pointId });

async function readProperties(blob: PageBlobClient, facts: ErrorFacts): Promise<TargetDiskProperties | undefined> {
  const answer = await reading("read disk properties", facts, STORE_READ_MS, (abortSignal) =>
    unless(isMissing, blob.getProperties({ abortSignal })),
  );
  if (answer === undefined) return undefined;
  const { etag, blobSequenceNumber, contentLength } = answer;
  if (etag === undefined || blobSequenceNumber === undefined || contentLength === undefined) {
    throw new LeewardError("store-refused", "The target disk is not a page blob with a sequence number.", facts);
  }
  return { etag, sequenceNumber: blobSequenceNumber, sizeBytes: contentLength };
}

function aligned(offsetBytes: number, lengthBytes: number): boolean {
  return lengthBytes > 0 && offsetBytes >= 0 && offsetBytes % SECTOR_BYTES === 0 && lengthBytes % SECTOR_BYTES === 0;
}

function factsOf(disk: TargetDisk): ErrorFacts {
  return { itemId: disk.itemId, stream: disk.stream, diskId: disk.diskId };
}
