import { createHash, timingSafeEqual } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { ARM_DISK_CHUNK_BYTES } from "../../limits.ts";
import { vhdFooter } from "./fixed-vhd.ts";

const FOOTER_BYTES = 512;

/** What beginGetAccess granted. The signature itself is only in the answer. */
export interface DiskAccess {
  readonly signatureHash: string;
  readonly expiresMs: number;
}

export const signatureHash = (signature: string): string => createHash("sha256").update(signature).digest("hex");

export function isGranted(access: DiskAccess | undefined, signature: string, nowMs: number): boolean {
  if (access === undefined || nowMs >= access.expiresMs) return false;
  return timingSafeEqual(Buffer.from(access.signatureHash), Buffer.from(signatureHash(signature)));
}

/** Answers GET and HEAD like a page blob: the raw disk followed by a VHD footer, whole or one range. */
export async function serveVhd(
  request: IncomingMessage,
  response: ServerResponse,
  disk: { readonly path: string; readonly uniqueId: string; readonly createdMs: number },
): Promise<void> {
  const file = await open(disk.path, "r");
  try {
    const { size, mtimeMs } = await file.stat();
    const total = size + FOOTER_BYTES;
    const range = rangeOf(String(request.headers["x-ms-range"] ?? request.headers["range"] ?? ""), total);
    const headers = {
      "accept-ranges": "bytes",
      "content-type": "application/octet-stream",
      etag: `"0x${Math.trunc(mtimeMs).toString(16).toUpperCase()}"`,
      "last-modified": new Date(mtimeMs).toUTCString(),
      "x-ms-blob-type": "PageBlob",
      "x-ms-version": "2025-11-05",
    };
    if (range === undefined) {
      response.writeHead(416, { "content-range": `bytes */${total}`, "x-ms-error-code": "InvalidRange" }).end();
      return;
    }
    const { start, end, isWhole } = range;
    const contentRange = isWhole ? {} : { "content-range": `bytes ${start}-${end - 1}/${total}` };
    response.writeHead(isWhole ? 200 : 206, { ...headers, ...contentRange, "content-length": end - start });
    if (request.method !== "HEAD") await send(file, response, { start, end, size, footer: vhdFooter(size, disk) });
    response.end();
  } finally {
    await file.close();
  }
}

interface Span {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly size: number;
  readonly footer: Buffer;
}

async function send(file: FileHandle, response: ServerResponse, { start, end, size, footer }: Span): Promise<void> {
  for (let at = start; at < end && !response.destroyed;) {
    if (at >= size) {
      response.write(footer.subarray(at - size, end - size));
      return;
    }
    const chunk = Buffer.alloc(Math.min(ARM_DISK_CHUNK_BYTES, Math.min(end, size) - at));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) throw new Error(`The disk ended at ${at} of ${size} bytes.`);
    at += bytesRead;
    if (!response.write(chunk.subarray(0, bytesRead))) await drained(response);
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go).off("close", go);
      resolve();
    };
    response.on("drain", go).on("close", go);
  });
}

/** `bytes=FIRST-LAST` or `bytes=FIRST-`; everything without one, undefined when it lies past the end. */
function rangeOf(
  text: string,
  total: number,
): { readonly start: number; readonly end: number; readonly isWhole: boolean } | undefined {
  const match = /^bytes=(\d+)-(\d*)$/.exec(text.trim());
  if (match === null) return { start: 0, end: total, isWhole: true };
  const start = Number(match[1]);
  const end = match[2] === "" ? total : Math.min(Number(match[2]) + 1, total);
  return start >= total || end <= start ? undefined : { start, end, isWhole: false };
}
