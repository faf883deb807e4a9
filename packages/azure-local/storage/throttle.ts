import type { IncomingMessage } from "node:http";
import { invariant } from "../errors.ts";
import {
  AZURE_PAGE_BLOB_BYTES_PER_SECOND,
  AZURE_PAGE_BLOB_REQUESTS_PER_SECOND,
  PUT_PAGE_MAX_BYTES,
} from "../limits.ts";
import type { LokiStore } from "./azurite-modules.ts";
import { blobAddress, findBlob } from "./operation.ts";

/**
 * One page blob's limits before it answers 503 `ServerBusy`: a bucket of bytes and one of requests for each blob, its
 * snapshots included. Both are full at first and fill at their rate. Azure names the two rates ("Scalability and
 * performance targets for Blob storage"), but not the allowed bursts: these are `burst...`.
 */
export interface PageBlobThrottle {
  /** Default: 60 MiB. */
  readonly bytesPerSecond?: number;
  /** Default: 500. */
  readonly requestsPerSecond?: number;
  /** The bucket's capacity, at least one Put Page of 4 MiB; default: one second's worth. */
  readonly burstBytes?: number;
  /** At least 1; default: one second's worth. */
  readonly burstRequests?: number;
  /** The clock that fills the buckets; default: the machine's. */
  readonly nowMs?: () => number;
}

export interface Buckets {
  /** False, and nothing taken, when either of the blob's buckets holds too little. */
  take(blob: string, lengthBytes: number): boolean;
}

/** Throws `internal` for a bucket too small for any request. */
export function createBuckets(throttle: PageBlobThrottle): Buckets {
  const { bytesPerSecond = AZURE_PAGE_BLOB_BYTES_PER_SECOND, requestsPerSecond = AZURE_PAGE_BLOB_REQUESTS_PER_SECOND } =
    throttle;
  const { burstBytes = bytesPerSecond, burstRequests = requestsPerSecond, nowMs = Date.now } = throttle;
  invariant(burstBytes >= PUT_PAGE_MAX_BYTES && burstRequests >= 1, "a page blob takes at least one Put Page", {
    burstBytes,
    burstRequests,
  });
  const levels = new Map<string, { bytes: number; requests: number; atMs: number }>();
  return {
    take: (blob, lengthBytes) => {
      const now = nowMs();
      const before = levels.get(blob) ?? { bytes: burstBytes, requests: burstRequests, atMs: now };
      const seconds = Math.max(0, now - before.atMs) / 1000;
      const bytes = Math.min(burstBytes, before.bytes + seconds * bytesPerSecond);
      const requests = Math.min(burstRequests, before.requests + seconds * requestsPerSecond);
      // A read may exceed the bucket's capacity: it empties a full one.
      const costBytes = Math.min(lengthBytes, burstBytes);
      const isTaken = bytes >= costBytes && requests >= 1;
      levels.set(blob, {
        bytes: isTaken ? bytes - costBytes : bytes,
        requests: isTaken ? requests - 1 : requests,
        atMs: now,
      });
      return isTaken;
    },
  };
}

/** True if the buckets refuse a request to a page blob of `store`. `account` is the path's first segment. */
export function isThrottled(request: IncomingMessage, account: string, store: LokiStore, buckets: Buckets): boolean {
  const { container, blob } = blobAddress(request.url ?? "/", account);
  if (blob === "") return false;
  const properties = findBlob(store, account, container, blob)?.properties;
  if (properties?.blobType !== "PageBlob") return false;
  return !buckets.take(`${container}/${blob}`, transferredBytes(request, properties.contentLength ?? 0));
}

/** Azure's answer beyond the limits. */
export const BUSY = { status: 503, code: "ServerBusy", message: "The server is busy." } as const;

/** The body of a write; what a read asks for. */
function transferredBytes(request: IncomingMessage, blobBytes: number): number {
  if (request.method !== "GET") return Number(request.headers["content-length"] ?? 0);
  if (/[?&]comp=/.test(request.url ?? "")) return 0;
  const range = /^bytes=(\d+)-(\d+)$/.exec(String(request.headers["x-ms-range"] ?? request.headers.range ?? ""));
  return range === null ? blobBytes : Number(range[2]) - Number(range[1]) + 1;
}
