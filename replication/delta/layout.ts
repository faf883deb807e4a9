import { DELTA_MAX_EXTENTS, DELTA_MAX_FRAMES, DISKS_MAX_COUNT } from "../limits.ts";

/**
 * The position of every field of a delta file of version 1; docs/delta-format.md is the specification and names the
 * rules (D1, D2, ...). All offsets and lengths are bytes, all integers little-endian and unsigned.
 */
export const FORMAT_VERSION = 1;
/** "LWDELTA" and a line feed, which a transfer in text mode would damage. */
export const MAGIC: readonly number[] = [0x4c, 0x57, 0x44, 0x45, 0x4c, 0x54, 0x41, 0x0a];

export const PROLOGUE_BYTES = 16;
export const PROLOGUE = { magic: 0, version: 8, minimumReaderVersion: 10, reserved: 12 } as const;

export const HEADER_BYTES = 128;
export const HEADER = {
  stream: 0,
  diskCount: 4,
  startEpoch: 8,
  startChecksum: 16,
  epoch: 48,
  firstWriteMs: 56,
  lastWriteMs: 64,
  extentCount: 72,
  frameCount: 76,
  item: 80,
  consistency: 116,
  flags: 117,
  reserved: 118,
} as const;
export const ITEM_FIELD_BYTES = 36;
/** Their order is their number in the file. */
export const CONSISTENCIES = ["crash", "file-system", "application"] as const;
export const FLAG = { seeding: 1, final: 2, groupMark: 4 } as const;

export const DISK_ENTRY_BYTES = 96;
export const DISK_ENTRY = { id: 0, sizeBytes: 80, sectorSizeBytes: 88, reserved: 90 } as const;
export const DISK_ID_FIELD_BYTES = 80;

export const EXTENT_ENTRY_BYTES = 20;
export const EXTENT_ENTRY = { offsetBytes: 0, lengthBytes: 8, disk: 16, kind: 18, reserved: 19 } as const;
export const EXTENT_KIND = { data: 1, zero: 2, trim: 3 } as const;

/**
 * SHA-256 of a frame's plain bytes, cut to this length: finding two contents with one checksum still takes 2^64 work.
 */
export const FRAME_CHECKSUM_BYTES = 16;
/** One word per frame: the stored length in the low 24 bits, the codec in the high 8. */
export const STORAGE_ENTRY_BYTES = 4;
export const CODEC = { raw: 0, zstd: 1 } as const;
export type Codec = keyof typeof CODEC;
export const CODECS: readonly Codec[] = ["raw", "zstd"];

export const FOOTER_BYTES = 128;
export const FOOTER = {
  prologue: 0,
  tailLength: 16,
  reserved: 20,
  endChecksum: 32,
  seal: 64,
  fileChecksum: 96,
} as const;
export const SEAL_BYTES = 32;
export const CHECKSUM_BYTES = 32;

/** Everything behind the frames: header, disk table, extent table, frame checksums, frame storage, footer. */
export function tailLength(diskCount: number, extentCount: number, frameCount: number): number {
  return (
    HEADER_BYTES +
    DISK_ENTRY_BYTES * diskCount +
    EXTENT_ENTRY_BYTES * extentCount +
    (FRAME_CHECKSUM_BYTES + STORAGE_ENTRY_BYTES) * frameCount +
    FOOTER_BYTES
  );
}

/** The shortest tail: one disk, no extents. */
export const TAIL_MIN_BYTES = tailLength(1, 0, 0);
/** The longest tail: one ranged read of this many bytes at the end opens any file (D6). */
export const TAIL_MAX_BYTES = tailLength(DISKS_MAX_COUNT, DELTA_MAX_EXTENTS, DELTA_MAX_FRAMES);

/** Numbers above 2^53 come back rounded, but never at or below a maximum that they exceed. */
export function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

export function writeUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 2 ** 32, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}
