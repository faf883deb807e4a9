import { LeewardError } from "../errors.ts";
import {
  APP_POINT_INTERVAL_MAX_MS,
  APP_POINT_INTERVAL_MIN_MS,
  DISKS_MAX_COUNT,
  DISK_MAX_BYTES,
  EPOCH_MAX,
  POINT_INTERVAL_MAX_MS,
  POINT_INTERVAL_MIN_MS,
  RETENTION_MAX_MS,
  SECTOR_BYTES,
  STREAM_MAX,
  TIME_MAX_MS,
} from "../limits.ts";
import { isDiskId, isItemId } from "../names.ts";
import type { DiskDescription, Position } from "../position.ts";
import type { ReplicationPolicy } from "./item.ts";

/** Throws `invalid-request` that names the field, unless `holds`. */
export function requireField(holds: boolean, field: string, message: string): asserts holds {
  if (!holds) throw new LeewardError("invalid-request", `${field}: ${message}`, { field });
}

export function requireItemId(itemId: string): void {
  requireField(
    isItemId(itemId),
    "itemId",
    "lower-case letters, digits and single hyphens between them, at most 36 characters",
  );
}

/** The disks ordered by id, as every record and delta has them. Errors: `invalid-request`, `disk-invalid`. */
export function orderedDisks(disks: readonly DiskDescription[]): readonly DiskDescription[] {
  requireField(
    disks.length >= 1 && disks.length <= DISKS_MAX_COUNT,
    "disks",
    `an item has 1 to ${DISKS_MAX_COUNT} disks`,
  );
  disks.forEach(requireDisk);
  const ordered = disks.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  // Blob names distinguish case, but file systems that a disk is downloaded to may not.
  const twice = disks.find(
    (disk, at) => disks.findIndex((other) => other.id.toLowerCase() === disk.id.toLowerCase()) !== at,
  );
  requireField(twice === undefined, "disks", `the disk id "${twice?.id}" appears twice`);
  return ordered.map(({ id, sizeBytes, sectorSizeBytes }) => ({ id, sizeBytes, sectorSizeBytes }));
}

function requireDisk(disk: DiskDescription, at: number): void {
  requireField(
    isDiskId(disk.id),
    `disks[${at}].id`,
    "letters, digits, _ . and -, starting with a letter or digit, at most 80 characters",
  );
  const { sizeBytes, sectorSizeBytes } = disk;
  const facts = { field: `disks[${at}].sizeBytes`, disk: disk.id, sizeBytes };
  if (
    !Number.isSafeInteger(sizeBytes) ||
    sizeBytes <= 0 ||
    sizeBytes > DISK_MAX_BYTES ||
    sizeBytes % SECTOR_BYTES !== 0
  ) {
    throw new LeewardError(
      "disk-invalid",
      `disks[${at}].sizeBytes: disk "${disk.id}" has ${sizeBytes} bytes; it must be a multiple of 512, more than 0 and at most ${DISK_MAX_BYTES}`,
      facts,
    );
  }
  requireField(sectorSizeBytes === 512 || sectorSizeBytes === 4096, `disks[${at}].sectorSizeBytes`, "512 or 4096");
  if (sizeBytes % sectorSizeBytes !== 0) {
    throw new LeewardError(
      "disk-invalid",
      `disks[${at}].sizeBytes: not a multiple of the sector size ${sectorSizeBytes}`,
      facts,
    );
  }
}

/** Errors: `invalid-request`. */
export function requirePolicy(policy: ReplicationPolicy): void {
  const { pointIntervalMs, retentionMs } = policy;
  requireField(
    Number.isSafeInteger(pointIntervalMs) &&
      pointIntervalMs >= POINT_INTERVAL_MIN_MS &&
      pointIntervalMs <= POINT_INTERVAL_MAX_MS,
    "policy.pointIntervalMs",
    `recovery points are taken every ${POINT_INTERVAL_MIN_MS / 1000} s to ${POINT_INTERVAL_MAX_MS / 3_600_000} h`,
  );
  requireField(
    Number.isSafeInteger(retentionMs) && retentionMs >= 0 && retentionMs <= RETENTION_MAX_MS,
    "policy.retentionMs",
    `recovery points are kept for 0 (the latest only) to ${RETENTION_MAX_MS / 86_400_000} days`,
  );
  requireAppConsistentInterval(policy, "policy.appConsistentIntervalMs");
}

/**
 * Off, or within its bounds and those of the other points. `field` names it as the caller does. Errors:
 * `invalid-request`.
 */
export function requireAppConsistentInterval(policy: ReplicationPolicy, field: string): void {
  const { pointIntervalMs, retentionMs, appConsistentIntervalMs: appMs = 0 } = policy;
  if (appMs === 0) return;
  requireField(
    Number.isSafeInteger(appMs) && appMs >= APP_POINT_INTERVAL_MIN_MS && appMs <= APP_POINT_INTERVAL_MAX_MS,
    field,
    `app-consistent points are taken never (0) or every ${APP_POINT_INTERVAL_MIN_MS / 60_000} to ${APP_POINT_INTERVAL_MAX_MS / 60_000} minutes`,
  );
  requireField(appMs >= pointIntervalMs, field, "app-consistent points come at most as often as crash-consistent ones");
  requireField(
    retentionMs === 0 || appMs <= retentionMs,
    field,
    "app-consistent points come within the time that points are kept",
  );
}

export function requirePosition(position: Position, field: string): void {
  requireField(
    isCount(position.stream) && position.stream <= STREAM_MAX,
    `${field}.stream`,
    `a whole number up to ${STREAM_MAX}`,
  );
  requireField(
    isCount(position.epoch) && position.epoch <= EPOCH_MAX,
    `${field}.epoch`,
    `a whole number up to ${EPOCH_MAX}`,
  );
  requireField(isChecksum(position.checksum), `${field}.checksum`, "64 lower-case hex digits");
}

export function requireCount(value: number, field: string): void {
  requireField(isCount(value), field, "a whole number that is not negative");
}

/**
 * Unix milliseconds that every view can show: a time beyond the year 9999 would end in a recovery point that no list
 * can print.
 */
export function requireTime(timeMs: number, field: string): void {
  requireField(isCount(timeMs) && timeMs <= TIME_MAX_MS, field, "milliseconds since 1970, up to the year 9999");
}

/** 64 lower-case hex digits: SHA-256, or a token as long as one. */
export function isChecksum(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

export function sameDisks(left: readonly DiskDescription[], right: readonly DiskDescription[]): boolean {
  return (
    left.length === right.length &&
    left.every((disk, at) => {
      const other = right[at];
      return (
        disk.id === other?.id && disk.sizeBytes === other.sizeBytes && disk.sectorSizeBytes === other.sectorSizeBytes
      );
    })
  );
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
