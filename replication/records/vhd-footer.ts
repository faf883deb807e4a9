import { createHash } from "node:crypto";
import { DISK_ROUNDING_BYTES, SECTOR_BYTES, VHD_FOOTER_BYTES } from "../limits.ts";

export interface VhdFooterFields {
  /** Bytes before the footer: a multiple of 512. */
  readonly sizeBytes: number;
  /** 16 bytes. */
  readonly uniqueId: Uint8Array;
  /** Unix milliseconds. */
  readonly createdMs: number;
}

/** Cylinders, heads and sectors per track as the VHD specification computes them from a size. */
export interface VhdGeometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectorsPerTrack: number;
}

/** Unix milliseconds of 2000-01-01T00:00:00Z, where VHD time stamps begin. */
const VHD_EPOCH_MS = 946_684_800_000;
const CHECKSUM_OFFSET = 64;
/** The largest geometry that the fields can hold. */
const MAX_SECTORS = 65_535 * 16 * 255;

/**
 * The 512-byte footer that makes raw bytes a fixed VHD (Microsoft, "Virtual Hard Disk Image Format Specification" 1.0,
 * "Hard Disk Footer Format"). All numbers are big-endian. The creator is Hyper-V's `win `: readers such as QEMU take
 * the size of a disk from the size field only for creators that they know, and from the (rounded) geometry for all
 * others.
 */
export function vhdFooter({ sizeBytes, uniqueId, createdMs }: VhdFooterFields): Uint8Array {
  const footer = new Uint8Array(VHD_FOOTER_BYTES);
  const view = new DataView(footer.buffer);
  const geometry = vhdGeometry(sizeBytes);
  writeText(footer, 0, "conectix");
  view.setUint32(8, 2); // Features: bit 1 is reserved and always set.
  view.setUint32(12, 0x0001_0000); // File format version 1.0.
  view.setBigUint64(16, 0xffff_ffff_ffff_ffffn); // Data offset: a fixed disk has no second header.
  view.setUint32(24, Math.min(Math.max(Math.floor((createdMs - VHD_EPOCH_MS) / 1000), 0), 0xffff_ffff));
  writeText(footer, 28, "win ");
  view.setUint32(32, 0x0006_0003); // Creator version: Hyper-V of Windows Server 2012 R2.
  writeText(footer, 36, "Wi2k");
  view.setBigUint64(40, BigInt(sizeBytes)); // Original size.
  view.setBigUint64(48, BigInt(sizeBytes)); // Current size.
  view.setUint16(56, geometry.cylinders);
  view.setUint8(58, geometry.heads);
  view.setUint8(59, geometry.sectorsPerTrack);
  view.setUint32(60, 2); // Disk type: fixed.
  footer.set(uniqueId.subarray(0, 16), 68);
  view.setUint32(CHECKSUM_OFFSET, vhdChecksum(footer));
  return footer;
}

/** The one's complement of the sum of all bytes of the footer, except those of the checksum itself. */
export function vhdChecksum(footer: Uint8Array): number {
  const sum = footer.reduce(
    (total, byte, at) => (at >= CHECKSUM_OFFSET && at < CHECKSUM_OFFSET + 4 ? total : total + byte),
    0,
  );
  return ~sum >>> 0;
}

/** The specification's appendix, "CHS Calculation". */
export function vhdGeometry(sizeBytes: number): VhdGeometry {
  const sectors = Math.min(Math.floor(sizeBytes / SECTOR_BYTES), MAX_SECTORS);
  if (sectors >= 65_535 * 16 * 63) return geometry(sectors, 16, 255);
  const tracksOf17 = Math.floor(sectors / 17);
  const heads = Math.max(Math.floor((tracksOf17 + 1023) / 1024), 4);
  if (tracksOf17 < heads * 1024 && heads <= 16) return geometry(sectors, heads, 17);
  return Math.floor(sectors / 31) < 16 * 1024 ? geometry(sectors, 16, 31) : geometry(sectors, 16, 63);
}

/** The same item, stream and disk give the same id, so that a repeated or rebuilt footer names the same disk. */
export function vhdUniqueId(itemId: string, stream: number, diskId: string): Uint8Array {
  const digest = createHash("sha256").update(`leeward-vhd-1\n${itemId}\n${stream}\n${diskId}`, "utf8").digest();
  return new Uint8Array(digest.subarray(0, 16));
}

/** The offset of a disk's footer: the disk size rounded up to whole MiB, which is what Azure imports. */
export function vhdDataBytes(diskBytes: number): number {
  return Math.ceil(diskBytes / DISK_ROUNDING_BYTES) * DISK_ROUNDING_BYTES;
}

/** The size of the target page blob of a disk: the rounded data and the footer. */
export function targetBlobBytes(diskBytes: number): number {
  return vhdDataBytes(diskBytes) + VHD_FOOTER_BYTES;
}

function geometry(sectors: number, heads: number, sectorsPerTrack: number): VhdGeometry {
  return { cylinders: Math.floor(Math.floor(sectors / sectorsPerTrack) / heads), heads, sectorsPerTrack };
}

function writeText(target: Uint8Array, offset: number, text: string): void {
  target.set(new TextEncoder().encode(text), offset);
}
