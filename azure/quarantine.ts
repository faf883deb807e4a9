import type { BlobClient, ContainerClient } from "@azure/storage-blob";
import { LeewardError } from "../replication/errors.ts";
import {
  DELTA_MAX_BYTES,
  LIST_PAGE_MAX_COUNT,
  QUARANTINE_COPY_MS,
  QUARANTINE_MAX_COUNT,
  QUARANTINE_NAME_MAX_LENGTH,
  QUARANTINE_POLL_MS,
  QUARANTINE_REASON_MAX_LENGTH,
  STORE_BLOB_WRITE_MS,
} from "../replication/limits.ts";
import { cacheContainer, quarantineContainer } from "../replication/names.ts";
import type { BlobAccount } from "./connections.ts";
import { isChanged, isMissing, isTaken, unless, writing } from "./errors.ts";
import { firstItems } from "./listing.ts";

/** A blob of a stream's cache container. */
interface CachedBlob {
  readonly itemId: string;
  readonly stream: number;
  readonly name: string;
}

/** The copy that is kept of it. */
interface Kept {
  readonly copy: BlobClient;
  readonly etag: string;
  readonly reason: string;
}

/**
 * Copies the blob inside the cache account, waits until the copy is complete, then removes the original if it is still
 * the one copied. With `etag`, only while the blob still has it. The copy's name carries the original's etag: running
 * again finds its own copy, and a later blob of the same name gets a separate one. Of a blob longer than any delta only
 * the reason is kept; of all copies, the newest QUARANTINE_MAX_COUNT.
 */
export async function moveToQuarantine(
  cache: BlobAccount,
  { itemId, stream, name }: CachedBlob,
  reason: string,
  etag?: string,
): Promise<void> {
  const facts = { itemId, stream, name };
  await writing("quarantine", facts, STORE_BLOB_WRITE_MS, async (abortSignal) => {
    const source = cache.retrying.getContainerClient(cacheContainer(itemId, stream)).getBlobClient(name);
    const found = await unless(isMissing, source.getProperties({ abortSignal }));
    if (found?.etag === undefined || (etag !== undefined && etag !== found.etag)) return;
    const container = cache.retrying.getContainerClient(quarantineContainer(itemId));
    await container.createIfNotExists({ abortSignal });
    const copy = container.getBlobClient(
      `${name.slice(0, QUARANTINE_NAME_MAX_LENGTH)}.${found.etag.replaceAll(/[^A-Za-z0-9]/g, "")}`,
    );
    const kept: Kept = { copy, etag: found.etag, reason };
    const { contentLength = 0 } = found;
    const whole =
      contentLength <= DELTA_MAX_BYTES
        ? await keepCopy(source, kept, abortSignal)
        : await keepReason(kept, contentLength, abortSignal);
    if (!whole) return;
    await makeRoom(container, copy.name, abortSignal);
    await unless(
      (error) => isMissing(error) || isChanged(error),
      source.delete({ deleteSnapshots: "include", conditions: { ifMatch: found.etag }, abortSignal }),
    );
  });
}

/** False when the source was replaced or removed meanwhile: the next sweep handles its successor. */
async function keepCopy(source: BlobClient, { copy, etag, reason }: Kept, abortSignal: AbortSignal): Promise<boolean> {
  const begun = copy.beginCopyFromURL(source.url, {
    abortSignal,
    conditions: { ifNoneMatch: "*" },
    sourceConditions: { ifMatch: etag },
    metadata: { leewardreason: headerText(reason) },
  });
  const started = await unless(isTaken, begun).catch((error: unknown) => {
    if (isMissing(error) || isChanged(error)) return undefined;
    throw error;
  });
  if (started === undefined && (await unless(isMissing, copy.getProperties({ abortSignal }))) === undefined)
    return false;
  await copied(copy, abortSignal);
  return true;
}

/** An empty blob that records what was there. */
async function keepReason({ copy, reason }: Kept, lengthBytes: number, abortSignal: AbortSignal): Promise<boolean> {
  const metadata = { leewardreason: headerText(reason), leewardlength: String(lengthBytes) };
  await unless(
    isTaken,
    copy.getBlockBlobClient().upload("", 0, { abortSignal, conditions: { ifNoneMatch: "*" }, metadata }),
  );
  return true;
}

/**
 * A client that may write into the cache container must not fill the account: removes the oldest. `own` was just added.
 */
async function makeRoom(container: ContainerClient, own: string, abortSignal: AbortSignal): Promise<void> {
  const pages = container.listBlobsFlat({ abortSignal }).byPage({ maxPageSize: LIST_PAGE_MAX_COUNT });
  const listed = await firstItems(pages, (page) => page.segment.blobItems, Number.POSITIVE_INFINITY);
  const others = listed.filter(({ name }) => name !== own);
  const oldest = others.toSorted(
    (left, right) => left.properties.lastModified.getTime() - right.properties.lastModified.getTime(),
  );
  for (const { name } of oldest.slice(0, Math.max(0, listed.length - QUARANTINE_MAX_COUNT))) {
    await unless(isMissing, container.getBlobClient(name).delete({ deleteSnapshots: "include", abortSignal }));
  }
}

/**
 * Waits until the copy is complete, at most QUARANTINE_COPY_MS: a longer copy continues by itself, and the next call
 * finds it.
 */
async function copied(copy: BlobClient, abortSignal: AbortSignal): Promise<void> {
  for (let waitedMs = 0; waitedMs <= QUARANTINE_COPY_MS; waitedMs += QUARANTINE_POLL_MS) {
    const { copyStatus, copyStatusDescription } = await copy.getProperties({ abortSignal });
    if (copyStatus === "success") return;
    if (copyStatus !== "pending") {
      await unless(isMissing, copy.delete({ deleteSnapshots: "include", abortSignal }));
      throw new LeewardError(
        "store-unavailable",
        `The copy into quarantine failed: ${copyStatusDescription ?? copyStatus ?? "no copy"}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, QUARANTINE_POLL_MS));
  }
  throw new LeewardError(
    "store-unavailable",
    "The copy into quarantine still runs; the original stays until it is whole.",
  );
}

/** Metadata is sent in headers: printable ASCII only. */
function headerText(text: string): string {
  return text.replaceAll(/[^ -~]/g, "?").slice(0, QUARANTINE_REASON_MAX_LENGTH);
}
