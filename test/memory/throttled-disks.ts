import { storageError } from "../../azure/errors.ts";
import type { Clock, TargetDisk, TargetDisks } from "../../replication/ports.ts";

/** One page blob's limits. */
export interface BlobLimits {
  readonly bytesPerSecond: number;
  readonly requestsPerSecond: number;
  /** The burst it takes after a rest. */
  readonly burstBytes: number;
}

/** Disks that refuse page writes beyond their limits with the adapter's error for Azure's answer. */
export interface ThrottledDisks {
  readonly disks: TargetDisks;
  /** Refused page writes, and the bytes of accepted ones. */
  readonly count: { refused: number; takenBytes: number };
}

interface Bucket {
  bytes: number;
  requests: number;
  filledMs: number;
}

export function throttledDisks(inner: TargetDisks, clock: Clock, limits: BlobLimits): ThrottledDisks {
  const buckets = new Map<string, Bucket>();
  const count = { refused: 0, takenBytes: 0 };
  const take = (disk: TargetDisk, lengthBytes: number): void => {
    const nowMs = clock.now();
    const full = { bytes: limits.burstBytes, requests: limits.requestsPerSecond, filledMs: nowMs };
    const key = `${disk.itemId}/${disk.stream}/${disk.diskId}`;
    const bucket = buckets.get(key) ?? full;
    buckets.set(key, bucket);
    const seconds = (nowMs - bucket.filledMs) / 1000;
    bucket.bytes = Math.min(full.bytes, bucket.bytes + seconds * limits.bytesPerSecond);
    bucket.requests = Math.min(full.requests, bucket.requests + seconds * limits.requestsPerSecond);
    bucket.filledMs = nowMs;
    if (bucket.bytes < lengthBytes || bucket.requests < 1) {
      count.refused += 1;
      throw storageError(serverBusy(), "write", "write pages");
    }
    bucket.bytes -= lengthBytes;
    bucket.requests -= 1;
    count.takenBytes += lengthBytes;
  };
  return {
    count,
    disks: {
      ...inner,
      writePages: async (disk, offsetBytes, bytes, generation) => {
        take(disk, bytes.length);
        await inner.writePages(disk, offsetBytes, bytes, generation);
      },
      clearPages: async (disk, offsetBytes, lengthBytes, generation) => {
        take(disk, 0);
        await inner.clearPages(disk, offsetBytes, lengthBytes, generation);
      },
    },
  };
}

/** The error of the SDK for Azure's 503 with its code in the header. */
export function serverBusy(): Error {
  const headers = new Map([["x-ms-error-code", "ServerBusy"]]);
  return Object.assign(new Error("The server is busy."), {
    name: "RestError",
    statusCode: 503,
    code: "ServerBusy",
    response: { headers },
  });
}
