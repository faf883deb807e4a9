import { open, rename, type FileHandle } from "node:fs/promises";
import type { PageBlobClient } from "@azure/storage-blob";
import { LeewardError } from "../replication/errors.ts";
import { SECTOR_BYTES } from "../replication/limits.ts";
import {
  CLI_DOWNLOAD_ATTEMPTS,
  CLI_DOWNLOAD_RANGE_BYTES,
  CLI_DOWNLOAD_WINDOW_BYTES,
  CLI_GAP_BYTES,
  CLI_REQUEST_MS,
  CLI_SPARSE_BLOCK_BYTES,
} from "./limits.ts";

/**
 * Downloads a page blob into a file, range by range, so that a broken connection costs one range and an expired address
 * is renewed. Only pages with data are downloaded; the others stay holes. The file gets its name only when it is
 * complete.
 */
export async function downloadDisk(path: string, freshUrl: () => Promise<string | undefined>): Promise<void> {
  const partial = `${path}.part`;
  const file = await open(partial, "w");
  try {
    const ask = askAgain(path, freshUrl);
    const totalBytes = await ask(readSize);
    for (let window = 0; window < totalBytes; window += CLI_DOWNLOAD_WINDOW_BYTES) {
      const windowEnd = Math.min(window + CLI_DOWNLOAD_WINDOW_BYTES, totalBytes);
      for (const { from, to } of await ask((url) => readPageRanges(url, window, windowEnd))) {
        for (let at = from; at < to; at += CLI_DOWNLOAD_RANGE_BYTES) {
          const lengthBytes = Math.min(CLI_DOWNLOAD_RANGE_BYTES, to - at);
          await writeSparse(file, await ask((url) => readRange(url, at, lengthBytes)), at);
        }
      }
    }
    await file.truncate(totalBytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}

/**
 * Sends a request with the current address; after a failure with a fresh one. Only consecutive failures of one request
 * end it, so progress restarts the count.
 */
function askAgain(path: string, freshUrl: () => Promise<string | undefined>) {
  let url: string | undefined;
  return async <Answer>(question: (url: string) => Promise<Answer>): Promise<Answer> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        url ??= await freshUrl();
        if (url === undefined)
          throw new LeewardError("internal", "The function app granted no access to this disk.", { path });
        return await question(url);
      } catch (error) {
        if (attempt >= CLI_DOWNLOAD_ATTEMPTS) throw error;
        url = undefined;
      }
    }
  };
}

/**
 * The client is loaded with the first download: other commands start without it. Its own errors hold the address with
 * its signature.
 */
async function askBlob<Answer>(
  url: string,
  question: (blob: PageBlobClient, abortSignal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const { AnonymousCredential, PageBlobClient: Client, RestError } = await import("@azure/storage-blob");
  const blob = new Client(url, new AnonymousCredential(), { retryOptions: { maxTries: 1 } });
  try {
    return await question(blob, AbortSignal.timeout(CLI_REQUEST_MS));
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    const { statusCode: status } = error;
    throw new LeewardError(
      "store-unavailable",
      `The storage account answered ${status ?? error.code} when asked about the disk.`,
      {
        status,
      },
    );
  }
}

async function readSize(url: string): Promise<number> {
  const { contentLength } = await askBlob(url, (blob, abortSignal) => blob.getProperties({ abortSignal }));
  if (contentLength === undefined)
    throw new LeewardError("store-unavailable", "The storage account did not say how long the disk is.");
  return contentLength;
}

/** The written parts, in order; near ones are merged, because a request costs more than the zeros between them. */
async function readPageRanges(
  url: string,
  from: number,
  to: number,
): Promise<readonly { readonly from: number; readonly to: number }[]> {
  const { pageRange = [] } = await askBlob(url, (blob, abortSignal) =>
    blob.getPageRanges(from, to - from, { abortSignal }),
  );
  const joined: { from: number; to: number }[] = [];
  for (const { offset, count = 0 } of pageRange) {
    // The SDK counts one byte too few (its ranges end with their last byte); pages are whole.
    const end = Math.min(offset + Math.ceil(count / SECTOR_BYTES) * SECTOR_BYTES, to);
    const last = joined.at(-1);
    if (last !== undefined && offset - last.to <= CLI_GAP_BYTES) last.to = end;
    else joined.push({ from: offset, to: end });
  }
  return joined;
}

async function readRange(url: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
  const answer = await fetch(url, {
    headers: { "x-ms-range": `bytes=${offsetBytes}-${offsetBytes + lengthBytes - 1}`, "x-ms-version": "2024-11-04" },
    signal: AbortSignal.timeout(CLI_REQUEST_MS),
  });
  const [, first] = /^bytes (\d+)-\d+\/\d+$/.exec(answer.headers.get("content-range") ?? "") ?? [];
  if (answer.status !== 206 || Number(first) !== offsetBytes) {
    throw new LeewardError(
      "store-unavailable",
      `The storage account answered ${answer.status} for a range of the disk.`,
      {
        status: answer.status,
      },
    );
  }
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (bytes.length !== lengthBytes) {
    throw new LeewardError("store-unavailable", "The storage account sent fewer bytes than it said.", {
      lengthBytes: bytes.length,
    });
  }
  return bytes;
}

const ZEROS = new Uint8Array(CLI_SPARSE_BLOCK_BYTES);

async function writeSparse(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += CLI_SPARSE_BLOCK_BYTES) {
    const block = bytes.subarray(at, at + CLI_SPARSE_BLOCK_BYTES);
    if (Buffer.compare(block, ZEROS.subarray(0, block.length)) !== 0)
      await file.write(block, 0, block.length, offsetBytes + at);
  }
}
