import { crc32 } from "node:zlib";
import { LeewardError } from "../../replication/errors.ts";
import type { Files } from "../system/files.ts";
import { decodeRecordHeader, RECORD_HEADER_BYTES, type RecordHeader } from "./record.ts";

/** The header of a segment file (docs/capture.md, "Journal"). */
export interface SegmentHeader {
  /** Counts the segments of one state folder. */
  readonly number: number;
  /** The sequence of its first record. */
  readonly firstSequence: number;
  /** First 32 hex digits of the start position's checksum: binds item, stream and disk table. */
  readonly binding: string;
}

export const SEGMENT_HEADER_BYTES = 64;
const MAGIC = "LWSEGM01";
const AT = { magic: 0, number: 8, firstSequence: 16, binding: 24, reserved: 40, checksum: 60 };

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.write(MAGIC, AT.magic, "latin1");
  bytes.writeBigUInt64LE(BigInt(header.number), AT.number);
  bytes.writeBigUInt64LE(BigInt(header.firstSequence), AT.firstSequence);
  bytes.write(header.binding, AT.binding, "hex");
  bytes.writeUInt32LE(crc32(bytes.subarray(0, AT.checksum)), AT.checksum);
  return bytes;
}

/** Undefined when it is cut off or damaged. */
function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.toString("latin1", 0, 8) !== MAGIC) return undefined;
  if (crc32(bytes.subarray(0, AT.checksum)) !== bytes.readUInt32LE(AT.checksum)) return undefined;
  return {
    number: Number(bytes.readBigUInt64LE(AT.number)),
    firstSequence: Number(bytes.readBigUInt64LE(AT.firstSequence)),
    binding: bytes.toString("hex", AT.binding, AT.binding + 16),
  };
}

export const segmentName = (number: number): string => `${String(number).padStart(12, "0")}.log`;

/** The number in a segment's file name, or undefined for any other name. */
export function segmentNumber(name: string): number | undefined {
  const match = /^(\d{12})\.log$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** A record with its data, a view of the segment's bytes. */
export interface IntactRecord {
  readonly header: RecordHeader;
  readonly data: Buffer;
}

export interface SegmentContent {
  /** Undefined when not even the segment's own header is whole: then no record was ever acknowledged from it. */
  readonly header: SegmentHeader | undefined;
  readonly records: readonly IntactRecord[];
  /** Where the last intact record ends: the rest is a torn tail. */
  readonly intactBytes: number;
  readonly torn: boolean;
}

/**
 * Reads a segment: every record up to the first that is cut off, damaged or out of sequence (rule 6: bytes are checked
 * after they are read). Accepts any bytes. Pure.
 */
export function parseSegment(bytes: Buffer): SegmentContent {
  const records: IntactRecord[] = [];
  const walked = walkSegment(bytes, (header, dataOffsetBytes) => {
    records.push({ header, data: bytes.subarray(dataOffsetBytes, dataOffsetBytes + header.dataBytes) });
  });
  return { ...walked, records };
}

/** The same without keeping the records: with small records, a list of them would need more memory than the segment. */
export function walkSegment(
  bytes: Buffer,
  visit: (record: RecordHeader, dataOffsetBytes: number) => void,
): Omit<SegmentContent, "records"> {
  const header = decodeSegmentHeader(bytes);
  if (header === undefined) return { header, intactBytes: 0, torn: true };
  let sequence = header.firstSequence;
  let at = SEGMENT_HEADER_BYTES;
  while (at < bytes.length) {
    const dataOffsetBytes = at + RECORD_HEADER_BYTES;
    const record = decodeRecordHeader(bytes.subarray(at, dataOffsetBytes));
    if (record === undefined || record.sequence !== sequence) break;
    const end = dataOffsetBytes + record.dataBytes;
    if (end > bytes.length || crc32(bytes.subarray(dataOffsetBytes, end)) !== record.dataChecksum) break;
    visit(record, dataOffsetBytes);
    sequence += 1;
    at = end;
  }
  return { header, intactBytes: at, torn: at < bytes.length };
}

export function readSegment(files: Files, path: string): SegmentContent {
  return parseSegment(readSegmentBytes(files, path));
}

/** The whole file, in `buffer` as far as it fits; a segment is bounded by EPOCH_MAX_DATA_BYTES. */
export function readSegmentBytes(files: Files, path: string, buffer?: Buffer): Buffer {
  const file = files.open(path, "r");
  try {
    const lengthBytes = files.statusOf(file).lengthBytes;
    const bytes =
      buffer !== undefined && lengthBytes <= buffer.length
        ? buffer.subarray(0, lengthBytes)
        : Buffer.allocUnsafeSlow(lengthBytes);
    let filled = 0;
    while (filled < bytes.length) {
      const count = files.read(file, bytes, filled, bytes.length - filled, filled);
      if (count === 0) throw new LeewardError("state-corrupt", `${path} became shorter while it was read.`, { path });
      filled += count;
    }
    return bytes;
  } finally {
    files.close(file);
  }
}
