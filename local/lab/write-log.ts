import { hash } from "node:crypto";

/** The unit in which disks are compared. */
export const LOG_SECTOR_BYTES = 512;
/** Half a SHA-256 for each sector: only equal content has an equal digest. */
export const DIGEST_BYTES = 16;

/**
 * One request of the guest, numbered from 1 in the order in which the guest issued them. The guest has one request in
 * flight over all its disks, so record n was acknowledged before record n + 1 began: every prefix of the log is exactly
 * one content of all disks.
 */
export interface LogRecord {
  readonly number: number;
  readonly kind: "write" | "zero" | "trim";
  /** Index of the disk in the order of the VM. */
  readonly disk: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** DIGEST_BYTES for each sector written; empty for `zero` and `trim`. */
  readonly digests: Uint8Array;
  /** Unix milliseconds, before the request was sent. */
  readonly begunMs: number;
  /** Unix milliseconds, after the answer came; undefined when none came. */
  readonly acknowledgedMs: number | undefined;
}

/** The digest of one sector. */
export function sectorDigest(sector: Uint8Array): Uint8Array {
  return hash("sha256", sector, "buffer").subarray(0, DIGEST_BYTES);
}

/** The digests of all sectors of a write, one after the other. */
export function sectorDigests(bytes: Uint8Array): Uint8Array {
  const digests = new Uint8Array((bytes.length / LOG_SECTOR_BYTES) * DIGEST_BYTES);
  for (let at = 0, sector = 0; at < bytes.length; at += LOG_SECTOR_BYTES, sector++) {
    digests.set(sectorDigest(bytes.subarray(at, at + LOG_SECTOR_BYTES)), sector * DIGEST_BYTES);
  }
  return digests;
}

/**
 * The minimum and maximum number of records in a recovery point of this source time. The source time is the time of the
 * last write that the point contains, taken by the service between the guest's sending and the guest's receiving the
 * answer: so every record acknowledged before it is in, and no record begun after it is. `toleranceMs` is the rounding
 * of the two clocks.
 */
export function prefixBounds(
  records: readonly LogRecord[],
  sourceMs: number,
  toleranceMs: number,
): { readonly atLeast: number; readonly atMost: number } {
  let atLeast = 0;
  let atMost = 0;
  for (const record of records) {
    if (record.acknowledgedMs !== undefined && record.acknowledgedMs < sourceMs - toleranceMs) atLeast = record.number;
    if (record.begunMs <= sourceMs + toleranceMs) atMost = record.number;
  }
  return { atLeast, atMost };
}
