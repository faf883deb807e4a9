import { DELTA_MAX_EXTENTS, DELTA_MAX_FRAMES, DISKS_MAX_COUNT } from "../limits.ts";
import type { DiskDescription } from "../position.ts";
import { hexText, isZero } from "./bytes.ts";
import type { DeltaFlags, DeltaHeader } from "./delta.ts";
import {
  CHECKSUM_BYTES,
  CONSISTENCIES,
  DISK_ENTRY,
  DISK_ENTRY_BYTES,
  DISK_ID_FIELD_BYTES,
  FLAG,
  HEADER,
  HEADER_BYTES,
  ITEM_FIELD_BYTES,
  readUint64,
  tailLength,
} from "./layout.ts";
import { fault, fileError, headerFault } from "./rules.ts";

export interface HeaderSection {
  readonly header: DeltaHeader;
  readonly extentCount: number;
  readonly frameCount: number;
  /** Where the extent table begins; all tables have been shown to fit between here and the footer. */
  readonly tablesStart: number;
}

/**
 * Reads header and disk table of the tail at `start` and checks D7 and D9 to D15. The tail holds at least a header, one
 * disk and a footer.
 */
export function readHeader(bytes: Uint8Array, view: DataView, start: number): HeaderSection {
  const diskCount = view.getUint32(start + HEADER.diskCount, true);
  const extentCount = view.getUint32(start + HEADER.extentCount, true);
  const frameCount = view.getUint32(start + HEADER.frameCount, true);
  checkCounts(bytes.length - start, diskCount, extentCount, frameCount, start);
  checkZero(bytes, "reserved of the header", start + HEADER.reserved, start + HEADER_BYTES);

  const disks: DiskDescription[] = [];
  for (let index = 0; index < diskCount; index += 1) {
    disks.push(readDisk(bytes, view, start + HEADER_BYTES + index * DISK_ENTRY_BYTES, `disks[${index}]`));
  }
  const stream = view.getUint32(start + HEADER.stream, true);
  const header: DeltaHeader = {
    itemId: readText(bytes, "item", start + HEADER.item, ITEM_FIELD_BYTES),
    stream,
    epoch: readUint64(view, start + HEADER.epoch),
    firstWriteMs: readUint64(view, start + HEADER.firstWriteMs),
    lastWriteMs: readUint64(view, start + HEADER.lastWriteMs),
    start: {
      stream,
      epoch: readUint64(view, start + HEADER.startEpoch),
      checksum: hexText(bytes.subarray(start + HEADER.startChecksum, start + HEADER.startChecksum + CHECKSUM_BYTES)),
    },
    disks,
    flags: readFlags(view, start),
  };
  const found = headerFault(header);
  if (found !== undefined) throw fileError("delta-corrupt", found, start + headerFieldOffset(found.field));
  return { header, extentCount, frameCount, tablesStart: start + HEADER_BYTES + diskCount * DISK_ENTRY_BYTES };
}

/**
 * D13 and D15: counts are bounded before anything is read or allocated by them, and the tables fill the tail exactly.
 */
function checkCounts(
  tailBytes: number,
  diskCount: number,
  extentCount: number,
  frameCount: number,
  start: number,
): void {
  const bounds = [
    { rule: "D13", field: "diskCount", count: diskCount, minimum: 1, maximum: DISKS_MAX_COUNT },
    { rule: "D15", field: "extentCount", count: extentCount, minimum: 0, maximum: DELTA_MAX_EXTENTS },
    { rule: "D15", field: "frameCount", count: frameCount, minimum: 0, maximum: DELTA_MAX_FRAMES },
  ] as const;
  for (const { rule, field, count, minimum, maximum } of bounds) {
    if (count >= minimum && count <= maximum) continue;
    throw fileError("delta-corrupt", fault(rule, field, "The count is out of range."), start + HEADER[field], {
      count,
      maximum,
    });
  }
  if (tailLength(diskCount, extentCount, frameCount) === tailBytes) return;
  throw fileError(
    "delta-corrupt",
    fault("D15", "extentCount", "The tables do not fill the tail."),
    start + HEADER.extentCount,
    {
      diskCount,
      extentCount,
      frameCount,
      tailLengthBytes: tailBytes,
    },
  );
}

function readDisk(bytes: Uint8Array, view: DataView, start: number, field: string): DiskDescription {
  checkZero(bytes, `${field}.reserved`, start + DISK_ENTRY.reserved, start + DISK_ENTRY_BYTES);
  const sectorSizeBytes = view.getUint16(start + DISK_ENTRY.sectorSizeBytes, true);
  if (sectorSizeBytes !== 512 && sectorSizeBytes !== 4096) {
    const found = fault("D13", `${field}.sectorSizeBytes`, "The sector size is neither 512 nor 4096.");
    throw fileError("delta-corrupt", found, start + DISK_ENTRY.sectorSizeBytes, { sectorSizeBytes });
  }
  return {
    id: readText(bytes, `${field}.id`, start + DISK_ENTRY.id, DISK_ID_FIELD_BYTES),
    sizeBytes: readUint64(view, start + DISK_ENTRY.sizeBytes),
    sectorSizeBytes,
  };
}

function readFlags(view: DataView, start: number): DeltaFlags {
  const consistency = CONSISTENCIES[view.getUint8(start + HEADER.consistency)];
  if (consistency === undefined) {
    throw fileError(
      "delta-corrupt",
      fault("D14", "consistency", "The consistency is unknown."),
      start + HEADER.consistency,
    );
  }
  const bits = view.getUint8(start + HEADER.flags);
  if ((bits & ~(FLAG.seeding | FLAG.final | FLAG.groupMark)) !== 0) {
    throw fileError("delta-corrupt", fault("D14", "flags", "A reserved flag is set."), start + HEADER.flags, {
      flags: bits,
    });
  }
  return {
    consistency,
    seeding: (bits & FLAG.seeding) !== 0,
    final: (bits & FLAG.final) !== 0,
    groupMark: (bits & FLAG.groupMark) !== 0,
  };
}

/**
 * Text in a field of fixed length, filled up with zeros (D7). What the text may be is checked with the rest of the
 * header.
 */
function readText(bytes: Uint8Array, field: string, start: number, lengthBytes: number): string {
  const whole = bytes.subarray(start, start + lengthBytes);
  const zero = whole.indexOf(0);
  const text = zero === -1 ? whole : whole.subarray(0, zero);
  checkZero(bytes, field, start + text.length, start + lengthBytes);
  return String.fromCharCode(...text);
}

function checkZero(bytes: Uint8Array, field: string, from: number, to: number): void {
  if (!isZero(bytes, from, to))
    throw fileError("delta-corrupt", fault("D7", field, "A reserved byte is not zero."), from);
}

/** The offset of the field that a header rule names, from the start of the tail. */
function headerFieldOffset(field: string): number {
  const disk = /^disks\[(\d+)\]\.(id|sizeBytes|sectorSizeBytes)$/.exec(field);
  if (disk !== null) {
    const name = disk[2] === "sizeBytes" ? "sizeBytes" : disk[2] === "id" ? "id" : "sectorSizeBytes";
    return HEADER_BYTES + Number(disk[1]) * DISK_ENTRY_BYTES + DISK_ENTRY[name];
  }
  return Object.entries(HEADER).find(([name]) => name === field)?.[1] ?? 0;
}
