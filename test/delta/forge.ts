import { createHash } from "node:crypto";
import {
  FOOTER,
  FOOTER_BYTES,
  HEADER,
  HEADER_BYTES,
  DISK_ENTRY_BYTES,
  EXTENT_ENTRY_BYTES,
  FRAME_CHECKSUM_BYTES,
} from "../../replication/delta/layout.ts";

/** Where the sections of a valid file begin, for a test that is about to break it. */
export interface Sections {
  readonly header: number;
  readonly disks: number;
  readonly extents: number;
  readonly checksums: number;
  readonly storage: number;
  readonly footer: number;
}

export function sectionsOf(bytes: Uint8Array): Sections {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const footer = bytes.length - FOOTER_BYTES;
  const header = bytes.length - view.getUint32(footer + FOOTER.tailLength, true);
  const disks = header + HEADER_BYTES;
  const extents = disks + DISK_ENTRY_BYTES * view.getUint32(header + HEADER.diskCount, true);
  const checksums = extents + EXTENT_ENTRY_BYTES * view.getUint32(header + HEADER.extentCount, true);
  const storage = checksums + FRAME_CHECKSUM_BYTES * view.getUint32(header + HEADER.frameCount, true);
  return { header, disks, extents, checksums, storage, footer };
}

/**
 * A copy of a valid file with a change, as a forger makes it: end checksum and file checksum are computed anew, so that
 * the rules behind them are put to the test. With `keepEnd` the end checksum stays as the change left it.
 */
export function forge(
  bytes: Uint8Array,
  change: (view: DataView, at: Sections, copy: Uint8Array) => void,
  keepEnd = false,
): Uint8Array {
  const copy = new Uint8Array(bytes);
  const at = sectionsOf(copy);
  change(new DataView(copy.buffer), at, copy);
  if (!keepEnd) copy.set(sha256(copy.subarray(at.header, at.storage)), at.footer + FOOTER.endChecksum);
  return sealed(copy);
}

/** The bytes with a file checksum that fits them. */
export function sealed(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy.set(sha256(copy.subarray(0, copy.length - 32)), copy.length - 32);
  return copy;
}

/** A copy in which `removed` bytes from `offset` on are replaced; nothing is computed anew. */
export function spliced(bytes: Uint8Array, offset: number, removed: number, inserted: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([bytes.subarray(0, offset), inserted, bytes.subarray(offset + removed)]));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}
