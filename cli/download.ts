import { open, rename } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { LeewardError } from "../replication/errors.ts";
import { CLI_DOWNLOAD_ATTEMPTS, CLI_DOWNLOAD_RANGE_BYTES, CLI_REQUEST_MS } from "../replication/limits.ts";

/**
 * Downloads a page blob into a file, range by range, so that a broken connection costs one range and an address that has ended is asked for anew.
 * Runs of zeros stay holes. The file appears under its name only when it is whole.
 */
export async function downloadDisk(path: string, freshUrl: () => Promise<string | undefined>): Promise<void> {
  const partial = `${path}.part`;
  const file = await open(partial, "w");
  try {
    let url: string | undefined;
    let totalBytes = Number.POSITIVE_INFINITY;
    for (let at = 0, attempt = 1; at < totalBytes;) {
      try {
        url ??= await freshUrl();
        if (url === undefined) throw new LeewardError("internal", "The function app granted no access to this disk.", { path });
        const range = await readRange(url, at);
        await writeSparse(file, range.bytes, at);
        totalBytes = range.totalBytes;
        at += range.bytes.length;
        attempt = 1;
      } catch (error) {
        if (attempt >= CLI_DOWNLOAD_ATTEMPTS) throw error;
        // Each failure in a row counts, so a range that never comes ends the loop; any progress starts the count again.
        attempt += 1;
        url = undefined;
      }
    }
    await file.truncate(totalBytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}

async function readRange(url: string, offsetBytes: number): Promise<{ readonly bytes: Uint8Array; readonly totalBytes: number }> {
  const range = `bytes=${offsetBytes}-${offsetBytes + CLI_DOWNLOAD_RANGE_BYTES - 1}`;
  const answer = await fetch(url, {
    headers: { "x-ms-range": range, "x-ms-version": "2024-11-04" },
    signal: AbortSignal.timeout(CLI_REQUEST_MS),
  });
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.headers.get("content-range") ?? "") ?? [];
  if (answer.status !== 206 || total === undefined || Number(first) !== offsetBytes) {
    throw new LeewardError("store-unavailable", `The storage account answered ${answer.status} for a range of the disk.`, {
      status: answer.status,
    });
  }
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (bytes.length !== Number(last) - offsetBytes + 1) {
    throw new LeewardError("store-unavailable", "The storage account sent fewer bytes than it said.", { lengthBytes: bytes.length });
  }
  return { bytes, totalBytes: Number(total) };
}

const BLOCK_BYTES = 64 * 1024;
const ZEROS = new Uint8Array(BLOCK_BYTES);

async function writeSparse(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const block = bytes.subarray(at, at + BLOCK_BYTES);
    if (Buffer.compare(block, ZEROS.subarray(0, block.length)) !== 0) await file.write(block, 0, block.length, offsetBytes + at);
  }
}
