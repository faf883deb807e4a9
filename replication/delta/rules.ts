import { LeewardError, type ErrorCode } from "../errors.ts";
import { DISK_MAX_BYTES, DISKS_MAX_COUNT, EPOCH_MAX, SECTOR_BYTES, STREAM_MAX, TIME_MAX_MS } from "../limits.ts";
import { isDiskId, isItemId } from "../names.ts";
import type { DiskDescription } from "../position.ts";
import type { DeltaHeader, Extent } from "./delta.ts";

/**
 * A broken rule of docs/delta-format.md. The decoder reports it as a damaged file, the encoder as a fault of its
 * caller.
 */
export interface Fault {
  readonly rule: string;
  readonly field: string;
  readonly message: string;
}

const CHECKSUM = /^[0-9a-f]{64}$/;

/** The first rule that this header breaks (D9, D10, D12, D13), or undefined. */
export function headerFault(header: DeltaHeader): Fault | undefined {
  if (!isItemId(header.itemId)) return fault("D9", "item", "The item is not a valid item id.");
  return chainFault(header) ?? timeFault(header) ?? disksFault(header.disks);
}

/**
 * The first rule that this extent breaks (D17 to D20), or undefined. `previous` is the extent before it in the file.
 */
export function extentFault(
  extent: Extent,
  previous: Extent | undefined,
  disks: readonly DiskDescription[],
): Fault | undefined {
  const { offsetBytes, lengthBytes } = extent;
  const disk = disks[extent.disk];
  if (disk === undefined) return fault("D17", "disk", "The extent names a disk that the disk table does not have.");
  if (
    !isWhole(offsetBytes) ||
    !isWhole(lengthBytes) ||
    offsetBytes % SECTOR_BYTES !== 0 ||
    lengthBytes % SECTOR_BYTES !== 0
  ) {
    return fault(
      "D18",
      offsetBytes % SECTOR_BYTES === 0 ? "lengthBytes" : "offsetBytes",
      "The extent is not aligned to 512 bytes.",
    );
  }
  if (lengthBytes === 0) return fault("D18", "lengthBytes", "The extent is empty.");
  if (offsetBytes + lengthBytes > disk.sizeBytes)
    return fault("D19", "lengthBytes", "The extent ends behind the end of its disk.");
  if (previous === undefined || previous.disk < extent.disk) return undefined;
  if (previous.disk > extent.disk || previous.offsetBytes + previous.lengthBytes > offsetBytes) {
    return fault("D20", "offsetBytes", "The extent does not lie behind the one before it.");
  }
  return undefined;
}

/** A fault as the reader of a file reports it: `offsetBytes` is the field's offset in the file. */
export function fileError(
  code: Extract<ErrorCode, "delta-corrupt" | "delta-unsupported" | "delta-too-large">,
  found: Fault,
  offsetBytes: number,
  facts: Readonly<Record<string, string | number>> = {},
): LeewardError {
  return new LeewardError(code, found.message, { rule: found.rule, field: found.field, offsetBytes, ...facts });
}

export function fault(rule: string, field: string, message: string): Fault {
  return { rule, field, message };
}

function chainFault(header: DeltaHeader): Fault | undefined {
  if (!isWhole(header.stream) || header.stream > STREAM_MAX)
    return fault("D10", "stream", "The stream number is out of range.");
  if (!isWhole(header.epoch) || header.epoch < 1 || header.epoch > EPOCH_MAX) {
    return fault("D10", "epoch", "The epoch number is out of range.");
  }
  if (header.start.stream !== header.stream) return fault("D10", "stream", "The start position is of another stream.");
  if (header.start.epoch !== header.epoch - 1)
    return fault("D10", "startEpoch", "The start position is not that of the epoch before.");
  if (!CHECKSUM.test(header.start.checksum)) {
    return fault("D10", "startChecksum", "The checksum of the start position is not 64 lower-case hex digits.");
  }
  return undefined;
}

function timeFault(header: DeltaHeader): Fault | undefined {
  if (!isWhole(header.firstWriteMs) || header.firstWriteMs > TIME_MAX_MS) {
    return fault("D12", "firstWriteMs", "The time of the first write is out of range.");
  }
  if (!isWhole(header.lastWriteMs) || header.lastWriteMs > TIME_MAX_MS) {
    return fault("D12", "lastWriteMs", "The time of the last write is out of range.");
  }
  return header.lastWriteMs < header.firstWriteMs
    ? fault("D12", "lastWriteMs", "The last write is before the first.")
    : undefined;
}

function disksFault(disks: readonly DiskDescription[]): Fault | undefined {
  if (disks.length < 1 || disks.length > DISKS_MAX_COUNT)
    return fault("D13", "diskCount", "A delta has 1 to 65 disks.");
  let previous: string | undefined;
  for (const [index, disk] of disks.entries()) {
    const field = `disks[${index}]`;
    if (!isDiskId(disk.id)) return fault("D13", `${field}.id`, "The disk id is not valid.");
    if (previous !== undefined && previous >= disk.id)
      return fault("D13", `${field}.id`, "The disks are not in the order of their ids.");
    if (
      !isWhole(disk.sizeBytes) ||
      disk.sizeBytes < SECTOR_BYTES ||
      disk.sizeBytes > DISK_MAX_BYTES ||
      disk.sizeBytes % SECTOR_BYTES !== 0
    ) {
      return fault(
        "D13",
        `${field}.sizeBytes`,
        "The disk size is not a multiple of 512 bytes from 512 to 8 TiB - 1 MiB.",
      );
    }
    if (disk.sectorSizeBytes !== 512 && disk.sectorSizeBytes !== 4096) {
      return fault("D13", `${field}.sectorSizeBytes`, "The sector size is neither 512 nor 4096.");
    }
    previous = disk.id;
  }
  return undefined;
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
