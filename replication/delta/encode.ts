import { createHash } from "node:crypto";
import { LeewardError } from "../errors.ts";
import {
  DELTA_HINT_BYTES,
  DELTA_MAX_BYTES,
  DELTA_MAX_EXTENTS,
  DELTA_MAX_PLAIN_BYTES,
  FRAME_MAX_PLAIN_BYTES,
} from "../limits.ts";
import type { DiskDescription, Position } from "../position.ts";
import { bytesOfHex, hexText } from "./bytes.ts";
import { type Compressor, freshCompressor } from "./compressor.ts";
import type { DeltaHeader, EncodedDelta, Extent, ExtentContent } from "./delta.ts";
import { frameChecksum, storeFrame } from "./frames.ts";
import {
  CHECKSUM_BYTES,
  CODEC,
  CONSISTENCIES,
  DISK_ENTRY,
  DISK_ENTRY_BYTES,
  EXTENT_ENTRY,
  EXTENT_ENTRY_BYTES,
  EXTENT_KIND,
  FLAG,
  FOOTER,
  FOOTER_BYTES,
  FORMAT_VERSION,
  FRAME_CHECKSUM_BYTES,
  HEADER,
  HEADER_BYTES,
  MAGIC,
  PROLOGUE,
  PROLOGUE_BYTES,
  STORAGE_ENTRY_BYTES,
  writeUint64,
} from "./layout.ts";
import { createOutput, type Output } from "./output.ts";
import { extentFault, headerFault, type Fault } from "./rules.ts";

const KIB = 1024;

interface Tables {
  readonly extents: Output;
  readonly checksums: Output;
  readonly storage: Output;
}

/**
 * Makes one delta file of version 1 (docs/delta-format.md) in memory, as `writeDelta` makes it piece by piece.
 * `sizeHintBytes` saves growing; the sum of the plain bytes is a good one.
 */
export function encodeDelta(
  header: DeltaHeader,
  extents: Iterable<ExtentContent>,
  sizeHintBytes = DELTA_HINT_BYTES,
): EncodedDelta {
  const output = createOutput(Math.min(Math.max(sizeHintBytes, KIB), DELTA_MAX_BYTES), DELTA_MAX_BYTES);
  const end = writeDelta(header, extents, (bytes) => output.append(bytes));
  return { bytes: output.finish(), end };
}

/**
 * Makes one delta file of version 1 and passes it to `append` from its first byte to its last; each piece is valid
 * during the call only. `extents` come sorted by disk and offset, and each is finished before the next is requested, so
 * that a generator can fetch them from the spool into one buffer: memory is the tables plus one frame and what
 * `compressor`, one for many deltas, needs. Returns the end position. Throws `delta-too-large` above the limits of D1,
 * D15 and D21, `internal` when header or extents break another rule; discard what was appended until then.
 */
export function writeDelta(
  header: DeltaHeader,
  extents: Iterable<ExtentContent>,
  append: (bytes: Uint8Array) => void,
  compressor: Compressor = freshCompressor,
): Position {
  expectNoFault(headerFault(header));
  const output = hashedOutput(append);
  output.append(prologue());
  const tables: Tables = {
    extents: createOutput(64 * EXTENT_ENTRY_BYTES, DELTA_MAX_BYTES),
    checksums: createOutput(64 * FRAME_CHECKSUM_BYTES, DELTA_MAX_BYTES),
    storage: createOutput(64 * STORAGE_ENTRY_BYTES, DELTA_MAX_BYTES),
  };
  appendExtents(header.disks, extents, output, tables, compressor);

  const tailStart = output.lengthBytes();
  // The end position covers everything from the header on that says what the delta means, nothing that says how it is
  // stored (D27).
  const meaning = createHash("sha256");
  const meant = [
    headerBytes(header, tables),
    ...header.disks.map(diskBytes),
    tables.extents.bytes(),
    tables.checksums.bytes(),
  ];
  for (const bytes of meant) {
    output.append(bytes);
    meaning.update(bytes);
  }
  const endChecksum = meaning.digest();
  output.append(tables.storage.bytes());
  output.append(footerBytes(output.lengthBytes() + FOOTER_BYTES - tailStart, endChecksum));
  output.appendChecksum();
  return { stream: header.stream, epoch: header.epoch, checksum: hexText(endChecksum) };
}

interface HashedOutput {
  /** Throws `delta-too-large` when the maximum would be passed. */
  append(bytes: Uint8Array): void;
  lengthBytes(): number;
  /** The file checksum over everything appended before. */
  appendChecksum(): void;
}

function hashedOutput(append: (bytes: Uint8Array) => void): HashedOutput {
  const hash = createHash("sha256");
  let lengthBytes = 0;
  const add = (bytes: Uint8Array): void => {
    lengthBytes += bytes.length;
    if (lengthBytes > DELTA_MAX_BYTES) throw tooLarge("D1", "bytes", DELTA_MAX_BYTES);
    append(bytes);
  };
  return {
    append: (bytes) => {
      add(bytes);
      hash.update(bytes);
    },
    lengthBytes: () => lengthBytes,
    appendChecksum: () => add(hash.digest()),
  };
}

function appendExtents(
  disks: readonly DiskDescription[],
  extents: Iterable<ExtentContent>,
  output: HashedOutput,
  tables: Tables,
  compressor: Compressor,
): void {
  let previous: Extent | undefined;
  let count = 0;
  let plainBytes = 0;
  for (const content of extents) {
    const lengthBytes = content.kind === "data" ? content.bytes.length : content.lengthBytes;
    const extent: Extent = { kind: content.kind, disk: content.disk, offsetBytes: content.offsetBytes, lengthBytes };
    expectNoFault(extentFault(extent, previous, disks));
    previous = extent;
    count += 1;
    if (count > DELTA_MAX_EXTENTS) throw tooLarge("D15", "extents", DELTA_MAX_EXTENTS);
    tables.extents.append(extentBytes(extent));
    if (content.kind === "zero") continue;
    plainBytes += lengthBytes;
    if (plainBytes > DELTA_MAX_PLAIN_BYTES) throw tooLarge("D21", "plain bytes", DELTA_MAX_PLAIN_BYTES);
    for (let offset = 0; offset < lengthBytes; offset += FRAME_MAX_PLAIN_BYTES) {
      appendFrame(content.bytes.subarray(offset, offset + FRAME_MAX_PLAIN_BYTES), output, tables, compressor);
    }
  }
}

function appendFrame(plain: Uint8Array, output: HashedOutput, tables: Tables, compressor: Compressor): void {
  const stored = storeFrame(plain, compressor);
  output.append(stored.bytes);
  tables.checksums.append(frameChecksum(plain));
  const entry = new Uint8Array(STORAGE_ENTRY_BYTES);
  new DataView(entry.buffer).setUint32(0, stored.bytes.length + CODEC[stored.codec] * 2 ** 24, true);
  tables.storage.append(entry);
}

function prologue(): Uint8Array {
  const bytes = new Uint8Array(PROLOGUE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, PROLOGUE.magic);
  view.setUint16(PROLOGUE.version, FORMAT_VERSION, true);
  view.setUint16(PROLOGUE.minimumReaderVersion, FORMAT_VERSION, true);
  return bytes;
}

function headerBytes(header: DeltaHeader, tables: Tables): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(HEADER.stream, header.stream, true);
  view.setUint32(HEADER.diskCount, header.disks.length, true);
  writeUint64(view, HEADER.startEpoch, header.start.epoch);
  bytes.set(bytesOfHex(header.start.checksum), HEADER.startChecksum);
  writeUint64(view, HEADER.epoch, header.epoch);
  writeUint64(view, HEADER.firstWriteMs, header.firstWriteMs);
  writeUint64(view, HEADER.lastWriteMs, header.lastWriteMs);
  view.setUint32(HEADER.extentCount, tables.extents.lengthBytes() / EXTENT_ENTRY_BYTES, true);
  view.setUint32(HEADER.frameCount, tables.checksums.lengthBytes() / FRAME_CHECKSUM_BYTES, true);
  bytes.set(new TextEncoder().encode(header.itemId), HEADER.item);
  bytes[HEADER.consistency] = CONSISTENCIES.indexOf(header.flags.consistency);
  bytes[HEADER.flags] =
    (header.flags.seeding ? FLAG.seeding : 0) |
    (header.flags.final ? FLAG.final : 0) |
    (header.flags.groupMark ? FLAG.groupMark : 0);
  return bytes;
}

function diskBytes(disk: DiskDescription): Uint8Array {
  const bytes = new Uint8Array(DISK_ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(disk.id), DISK_ENTRY.id);
  writeUint64(view, DISK_ENTRY.sizeBytes, disk.sizeBytes);
  view.setUint16(DISK_ENTRY.sectorSizeBytes, disk.sectorSizeBytes, true);
  return bytes;
}

function extentBytes(extent: Extent): Uint8Array {
  const bytes = new Uint8Array(EXTENT_ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  writeUint64(view, EXTENT_ENTRY.offsetBytes, extent.offsetBytes);
  writeUint64(view, EXTENT_ENTRY.lengthBytes, extent.lengthBytes);
  view.setUint16(EXTENT_ENTRY.disk, extent.disk, true);
  bytes[EXTENT_ENTRY.kind] = EXTENT_KIND[extent.kind];
  return bytes;
}

/** The footer up to its last field, the file checksum, which covers the rest. */
function footerBytes(tailBytes: number, endChecksum: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES - CHECKSUM_BYTES);
  bytes.set(prologue(), FOOTER.prologue);
  new DataView(bytes.buffer).setUint32(FOOTER.tailLength, tailBytes, true);
  bytes.set(endChecksum, FOOTER.endChecksum);
  return bytes;
}

function tooLarge(rule: string, what: string, maximum: number): LeewardError {
  return new LeewardError("delta-too-large", `A delta holds at most ${maximum} ${what}.`, { rule, maximum });
}

function expectNoFault(found: Fault | undefined): void {
  if (found === undefined) return;
  throw new LeewardError(
    "internal",
    `Broken assumption: the encoder was given what rule ${found.rule} forbids. ${found.message}`,
    {
      rule: found.rule,
      field: found.field,
    },
  );
}
