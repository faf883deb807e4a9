import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { BlobRequestConditions, ContainerClient } from "@azure/storage-blob";
import { LeewardError } from "../replication/errors.ts";
import {
  DELTA_MAX_BYTES,
  LIST_PAGE_MAX_COUNT,
  STORE_BLOB_WRITE_MS,
  STORE_LIST_MS,
  STORE_READ_MS,
  STORE_WRITE_MS,
} from "../replication/limits.ts";
import type { RecordListing, RecordStore, StoredRecord } from "../replication/ports.ts";
import type { BlobAccount } from "./connections.ts";
import { isChanged, isContainerMissing, isMissing, isTaken, reading, unless, writing } from "./errors.ts";
import { firstItems } from "./listing.ts";

/** The RecordStore of one container: block blobs, one Put Blob each. */
export function openRecords(account: BlobAccount, containerName: string): RecordStore {
  const retrying = account.retrying.getContainerClient(containerName);
  const once = account.once.getContainerClient(containerName);
  return {
    read: (name, maxBytes = DELTA_MAX_BYTES) => readRecord(retrying, name, maxBytes),
    // Sent once: repeated after a lost answer, it would find its own blob and report the name as taken.
    create: (name, bytes) =>
      writing("create record", { container: containerName, name }, STORE_BLOB_WRITE_MS, (abortSignal) =>
        unless(
          isTaken,
          inContainer(retrying, abortSignal, () => putBlob(once, name, bytes, { ifNoneMatch: "*" }, abortSignal)),
        ),
      ),
    // Sent once, for the same reason. A blob that is gone, or never existed, has no etag that could match.
    replace: (name, bytes, etag) =>
      writing("replace record", { container: containerName, name }, STORE_BLOB_WRITE_MS, (abortSignal) =>
        unless(
          (error) => isChanged(error) || isMissing(error),
          putBlob(once, name, bytes, { ifMatch: etag }, abortSignal),
        ),
      ),
    // The last writer may win, so a second landing of the same bytes is harmless.
    put: async (name, bytes) => {
      await writing("put record", { container: containerName, name }, STORE_BLOB_WRITE_MS, (abortSignal) =>
        inContainer(retrying, abortSignal, () => putBlob(retrying, name, bytes, {}, abortSignal)),
      );
    },
    remove: async (name, etag) => {
      const conditions = etag === undefined ? {} : { ifMatch: etag };
      await writing("remove record", { container: containerName, name }, STORE_WRITE_MS, (abortSignal) =>
        unless(
          (error) => isMissing(error) || isChanged(error),
          retrying.getBlobClient(name).delete({ deleteSnapshots: "include", conditions, abortSignal }),
        ),
      );
    },
    list: (prefix, limit, after) => listRecords(retrying, prefix, limit, after),
  };
}

async function readRecord(
  container: ContainerClient,
  name: string,
  maxBytes: number,
): Promise<StoredRecord | undefined> {
  const facts = { container: container.containerName, name };
  return reading("read record", facts, STORE_READ_MS, async (abortSignal) => {
    const answer = await unless(isMissing, container.getBlobClient(name).download(0, undefined, { abortSignal }));
    if (answer === undefined) return undefined;
    const { contentLength, etag, readableStreamBody } = answer;
    if (contentLength === undefined || etag === undefined || !(readableStreamBody instanceof Readable)) {
      throw new LeewardError(
        "store-unavailable",
        "The storage account answered a download without length, etag or body.",
        facts,
      );
    }
    if (contentLength > maxBytes) {
      readableStreamBody.destroy();
      throw new LeewardError(
        "delta-too-large",
        `The blob ${name} has ${contentLength} bytes, at most ${maxBytes} are read.`,
        {
          ...facts,
          lengthBytes: contentLength,
          maxBytes,
          etag,
        },
      );
    }
    return { bytes: await collect(readableStreamBody, contentLength, facts), etag };
  });
}

/**
 * Exactly `lengthBytes` bytes: the answer's length is checked here, its content by the checksums of the domain (rule
 * 6).
 */
async function collect(
  body: Readable,
  lengthBytes: number,
  facts: Readonly<Record<string, string>>,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  let filledBytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    if (filledBytes + chunk.length <= lengthBytes) bytes.set(chunk, filledBytes);
    filledBytes += chunk.length;
  }
  if (filledBytes === lengthBytes) return bytes;
  throw new LeewardError(
    "store-unavailable",
    `The download brought ${filledBytes} bytes instead of ${lengthBytes}.`,
    facts,
  );
}

/** One Put Blob; the service checks the MD5 before it stores anything (rule 6). */
async function putBlob(
  container: ContainerClient,
  name: string,
  bytes: Uint8Array,
  conditions: BlobRequestConditions,
  abortSignal: AbortSignal,
): Promise<string> {
  const answer = await container.getBlockBlobClient(name).upload(bytes, bytes.length, {
    conditions,
    abortSignal,
    blobHTTPHeaders: {
      blobContentMD5: createHash("md5").update(bytes).digest(),
      blobContentType: "application/octet-stream",
    },
  });
  if (answer.etag === undefined) {
    throw new LeewardError("outcome-unknown", "The storage account answered a write without an etag.", { name });
  }
  return answer.etag;
}

/** The first write makes the container. A write that found none changed nothing, so it may be repeated. */
async function inContainer<Result>(
  container: ContainerClient,
  abortSignal: AbortSignal,
  write: () => Promise<Result>,
): Promise<Result> {
  try {
    return await write();
  } catch (error) {
    if (!isContainerMissing(error)) throw error;
    await container.createIfNotExists({ abortSignal });
    return write();
  }
}

async function listRecords(
  container: ContainerClient,
  prefix: string,
  limit: number,
  after = "",
): Promise<readonly RecordListing[]> {
  return reading("list records", { container: container.containerName, prefix }, STORE_LIST_MS, async (abortSignal) => {
    // The store may skip names before `after`; the filter decides, because the store's start is inclusive.
    const start = after !== "" && after.startsWith(prefix) ? { startFrom: after } : {};
    const pages = container
      .listBlobsFlat({ prefix, abortSignal, ...start })
      .byPage({ maxPageSize: Math.min(limit + 1, LIST_PAGE_MAX_COUNT) });
    const found = firstItems(
      pages,
      (page) =>
        page.segment.blobItems
          .filter((item) => item.name > after)
          .map((item) => ({
            name: item.name,
            lengthBytes: item.properties.contentLength ?? 0,
            createdMs: (item.properties.createdOn ?? item.properties.lastModified).getTime(),
            etag: item.properties.etag,
          })),
      limit,
    );
    return (await unless(isMissing, found)) ?? [];
  });
}
