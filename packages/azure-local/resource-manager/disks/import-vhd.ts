import type { FileHandle } from "node:fs/promises";
import { PageBlobClient, RestError, StorageSharedKeyCredential } from "@azure/storage-blob";
import { ARM_DISK_CHUNK_BYTES } from "../../limits.ts";
import { ArmError, invalidParameter } from "../engine/arm-error.ts";
import type { StorageAccountFacts } from "../engine/resource-type.ts";
import { writeWhole } from "./disk-files.ts";
import { readFixedVhd } from "./fixed-vhd.ts";

const FOOTER_BYTES = 512;
const PAGE_BYTES = 512;

/** The account named by the address, if it runs here. */
export function accountOf(sourceUri: string, accounts: readonly StorageAccountFacts[]): StorageAccountFacts {
  const account = accounts.find(({ blobUrl }) => sourceUri.startsWith(`${blobUrl}/`));
  if (account === undefined)
    throw invalidParameter(`The blob ${withoutQuery(sourceUri)} is in no storage account of this cloud.`);
  return account;
}

/**
 * Reads a page blob that is a fixed VHD into the file, without the footer, keeping its holes. The blob must not change
 * meanwhile. Errors: ArmError `InvalidVhd` when it is none, `BlobNotFound`, `BlobChanged`; others fail the operation
 * unchanged.
 */
export async function importVhd(
  sourceUri: string,
  account: StorageAccountFacts,
  file: FileHandle,
  signal: AbortSignal,
): Promise<void> {
  const blob = new PageBlobClient(withoutQuery(sourceUri), new StorageSharedKeyCredential(account.name, account.key));
  try {
    const { contentLength = 0, blobType, etag } = await blob.getProperties({ abortSignal: signal });
    if (blobType !== "PageBlob") throw invalidVhd(sourceUri, `the blob is a ${blobType}, not a page blob`);
    if (contentLength < FOOTER_BYTES) throw invalidVhd(sourceUri, `the blob has only ${contentLength} bytes`);
    const conditions = { ifMatch: etag ?? "" };
    const footer = await blob.downloadToBuffer(contentLength - FOOTER_BYTES, FOOTER_BYTES, {
      abortSignal: signal,
      conditions,
    });
    const vhd = readFixedVhd(footer, contentLength);
    if ("wrong" in vhd) throw invalidVhd(sourceUri, vhd.wrong);
    await file.truncate(vhd.sizeBytes);
    const { pageRange = [] } = await blob.getPageRanges(0, vhd.sizeBytes, { abortSignal: signal, conditions });
    for (const { offset, count = 0 } of pageRange) {
      // The SDK counts one byte too few (its ranges include the last byte); pages are whole.
      const end = Math.min(offset + Math.ceil(count / PAGE_BYTES) * PAGE_BYTES, vhd.sizeBytes);
      for (let at = offset; at < end; at += ARM_DISK_CHUNK_BYTES) {
        const lengthBytes = Math.min(ARM_DISK_CHUNK_BYTES, end - at);
        await writeWhole(file, await blob.downloadToBuffer(at, lengthBytes, { abortSignal: signal, conditions }), at);
      }
    }
  } catch (error) {
    throw asArmError(error, sourceUri);
  }
}

function asArmError(error: unknown, sourceUri: string): unknown {
  if (!(error instanceof RestError)) return error;
  if (error.statusCode === 404)
    return new ArmError(400, "BlobNotFound", `The blob ${withoutQuery(sourceUri)} was not found.`);
  if (error.statusCode === 412)
    return new ArmError(409, "BlobChanged", `The blob ${withoutQuery(sourceUri)} was changed while it was imported.`);
  return error;
}

function invalidVhd(sourceUri: string, wrong: string): ArmError {
  return new ArmError(400, "InvalidVhd", `The blob ${withoutQuery(sourceUri)} is not a supported VHD: ${wrong}.`);
}

/** Drops any signature: the blob is read with the account's own key. */
const withoutQuery = (uri: string): string => uri.split("?")[0] ?? uri;
