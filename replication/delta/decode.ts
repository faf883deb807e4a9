import { invariant, LeewardError } from "../errors.ts";
import { DELTA_MAX_BYTES } from "../limits.ts";
import type { Position } from "../position.ts";
import { hexText, isZero, sameBytes, sha256 } from "./bytes.ts";
import type { DecodedDelta, FrameEntry } from "./delta.ts";
import { expandFrame, frameChecksum } from "./frames.ts";
import {
  CHECKSUM_BYTES,
  EXTENT_ENTRY_BYTES,
  FOOTER,
  FOOTER_BYTES,
  FORMAT_VERSION,
  FRAME_CHECKSUM_BYTES,
  MAGIC,
  PROLOGUE,
  PROLOGUE_BYTES,
  SEAL_BYTES,
  TAIL_MAX_BYTES,
  TAIL_MIN_BYTES,
} from "./layout.ts";
import { readHeader } from "./read-header.ts";
import { readExtents, readStorage, type StoredPlace } from "./read-tables.ts";
import { fault, fileError } from "./rules.ts";

/** A checked file of version 1, with the details of its form: two files with the same position may differ in them. */
export interface DeltaFile extends DecodedDelta {
  readonly formatVersion: number;
  readonly minimumReaderVersion: number;
  /** How frame `index` is stored. */
  stored(index: number): StoredPlace;
}

/**
 * Opens a delta from any bytes. Everything but the content of the frames is checked here, in the order of the
 * specification; frames are checked as they are decoded. The result reads from `bytes`, which must not change
 * meanwhile. Throws `delta-too-large`, `delta-corrupt` or `delta-unsupported` with the rule, the field and its offset
 * as facts.
 */
export function decodeDelta(bytes: Uint8Array): DeltaFile {
  const versions = checkEnvelope(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tailStart = checkFooter(bytes, view);
  const { header, extentCount, frameCount, tablesStart } = readHeader(bytes, view, tailStart);
  const { extents, frames } = readExtents(view, tablesStart, extentCount, frameCount, header.disks);
  const checksumsStart = tablesStart + extents.length * EXTENT_ENTRY_BYTES;
  const storageStart = checksumsStart + frames.length * FRAME_CHECKSUM_BYTES;
  const places = readStorage(view, storageStart, frames, tailStart);
  const end: Position = {
    stream: header.stream,
    epoch: header.epoch,
    checksum: checkEnd(bytes, tailStart, storageStart),
  };

  function place(index: number): { readonly entry: FrameEntry; readonly stored: StoredPlace } {
    const entry = frames[index];
    const stored = places[index];
    invariant(entry !== undefined && stored !== undefined, "a frame index lies inside the delta", {
      index,
      frames: frames.length,
    });
    return { entry, stored };
  }
  return {
    ...versions,
    header,
    end,
    extents,
    frames,
    stored: (index) => place(index).stored,
    frame(index) {
      const { entry, stored } = place(index);
      const plain = plainBytes(bytes, stored, entry.lengthBytes, index);
      const checksumStart = checksumsStart + index * FRAME_CHECKSUM_BYTES;
      if (!sameBytes(frameChecksum(plain), bytes.subarray(checksumStart, checksumStart + FRAME_CHECKSUM_BYTES))) {
        throw frameError("D26", "The plain bytes of the frame do not match their checksum.", stored, index);
      }
      return plain;
    },
  };
}

/** The frames of a delta one after the other, each decoded and checked on demand. */
export function* decodedFrames(
  delta: DecodedDelta,
): Generator<{ readonly entry: FrameEntry; readonly bytes: Uint8Array }> {
  for (const [index, entry] of delta.frames.entries()) yield { entry, bytes: delta.frame(index) };
}

/** Decodes every frame once. Throws `delta-corrupt` for the first that does not match the tables. */
export function verifyFrames(delta: DecodedDelta): void {
  for (const index of delta.frames.keys()) delta.frame(index);
}

/** D1 to D4, which hold for every version of the format: length, magic, file checksum, versions. */
function checkEnvelope(bytes: Uint8Array): { readonly formatVersion: number; readonly minimumReaderVersion: number } {
  if (bytes.length > DELTA_MAX_BYTES) {
    const found = fault("D1", "file", "The file is longer than a delta may be.");
    throw fileError("delta-too-large", found, 0, { lengthBytes: bytes.length, maximum: DELTA_MAX_BYTES });
  }
  if (bytes.length < PROLOGUE_BYTES + TAIL_MIN_BYTES) {
    throw fileError("delta-corrupt", fault("D1", "file", "The file is shorter than the shortest delta."), 0, {
      lengthBytes: bytes.length,
    });
  }
  if (!MAGIC.every((byte, index) => bytes[PROLOGUE.magic + index] === byte)) {
    throw fileError(
      "delta-corrupt",
      fault("D2", "magic", "The file is not a delta: it does not begin with the magic bytes."),
      PROLOGUE.magic,
    );
  }
  const checksumStart = bytes.length - CHECKSUM_BYTES;
  if (!sameBytes(sha256(bytes.subarray(0, checksumStart)), bytes.subarray(checksumStart))) {
    throw fileError(
      "delta-corrupt",
      fault("D3", "fileChecksum", "The file does not match its checksum."),
      checksumStart,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, PROLOGUE_BYTES);
  const formatVersion = view.getUint16(PROLOGUE.version, true);
  const minimumReaderVersion = view.getUint16(PROLOGUE.minimumReaderVersion, true);
  if (minimumReaderVersion < 1 || formatVersion < minimumReaderVersion) {
    const found = fault(
      "D4",
      "minimumReaderVersion",
      "The minimum reader version is zero or above the version of the file.",
    );
    throw fileError("delta-corrupt", found, PROLOGUE.minimumReaderVersion, { formatVersion, minimumReaderVersion });
  }
  if (minimumReaderVersion > FORMAT_VERSION) {
    const found = fault(
      "D4",
      "minimumReaderVersion",
      `The file needs a reader of version ${minimumReaderVersion}; this one reads version 1.`,
    );
    throw fileError("delta-unsupported", found, PROLOGUE.minimumReaderVersion, { formatVersion, minimumReaderVersion });
  }
  return { formatVersion, minimumReaderVersion };
}

/** D5 to D8; returns where the tail begins. */
function checkFooter(bytes: Uint8Array, view: DataView): number {
  const footer = bytes.length - FOOTER_BYTES;
  if (!sameBytes(bytes.subarray(0, PROLOGUE_BYTES), bytes.subarray(footer, footer + PROLOGUE_BYTES))) {
    throw fileError(
      "delta-corrupt",
      fault("D5", "prologue", "The footer does not repeat the first bytes of the file."),
      footer,
    );
  }
  const tail = view.getUint32(footer + FOOTER.tailLength, true);
  if (tail < TAIL_MIN_BYTES || tail > TAIL_MAX_BYTES || tail > bytes.length - PROLOGUE_BYTES) {
    const found = fault("D6", "tailLength", "The tail is shorter or longer than it can be.");
    throw fileError("delta-corrupt", found, footer + FOOTER.tailLength, { tailLengthBytes: tail });
  }
  const reserved: readonly (readonly [string, number, number])[] = [
    ["reserved of the prologue", PROLOGUE.reserved, PROLOGUE_BYTES],
    ["reserved of the footer", footer + FOOTER.reserved, footer + FOOTER.endChecksum],
  ];
  for (const [field, from, to] of reserved) {
    if (!isZero(bytes, from, to))
      throw fileError("delta-corrupt", fault("D7", field, "A reserved byte is not zero."), from);
  }
  const seal = footer + FOOTER.seal;
  if (!isZero(bytes, seal, seal + SEAL_BYTES)) {
    throw fileError("delta-unsupported", fault("D8", "seal", "The file is sealed; version 1 has no seals."), seal);
  }
  return bytes.length - tail;
}

/** D27: the end position is computed from the tables, never trusted. */
function checkEnd(bytes: Uint8Array, tailStart: number, storageStart: number): string {
  const computed = sha256(bytes.subarray(tailStart, storageStart));
  const stored = bytes.length - FOOTER_BYTES + FOOTER.endChecksum;
  if (!sameBytes(computed, bytes.subarray(stored, stored + CHECKSUM_BYTES))) {
    throw fileError(
      "delta-corrupt",
      fault("D27", "endChecksum", "The end position does not follow from header and tables."),
      stored,
    );
  }
  return hexText(computed);
}

function plainBytes(bytes: Uint8Array, stored: StoredPlace, lengthBytes: number, index: number): Uint8Array {
  const packed = bytes.subarray(stored.offsetBytes, stored.offsetBytes + stored.lengthBytes);
  switch (stored.codec) {
    case "raw":
      return packed;
    case "zstd": {
      let plain: Uint8Array;
      try {
        plain = expandFrame(packed, lengthBytes);
      } catch (error) {
        throw frameError("D25", "The frame is not valid zstd of the plain length.", stored, index, error);
      }
      if (plain.length === lengthBytes) return plain;
      throw frameError("D25", "The frame decodes to less than its plain length.", stored, index);
    }
  }
}

function frameError(rule: string, message: string, stored: StoredPlace, index: number, cause?: unknown): LeewardError {
  const facts = { rule, field: `frames[${index}]`, offsetBytes: stored.offsetBytes, codec: stored.codec };
  return new LeewardError("delta-corrupt", message, facts, { cause });
}
