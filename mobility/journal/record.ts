import { crc32 } from "node:zlib";
import { SECTOR_BYTES } from "../../replication/limits.ts";
import { JOURNAL_RECORD_MAX_BYTES } from "../limits.ts";

/**
 * One record of the write log, in the order in which the image changed. `seed` and `seed-zero` hold what initial
 * replication read; `seed-done` means that the pass over all disks is complete. `pass` numbers such passes and is 0 for
 * writes of the guest. `application-mark` means that applications and file systems were consistent and held still when
 * everything before it was recorded.
 */
export interface JournalRecord {
  readonly kind: "write" | "zero" | "seed" | "seed-zero" | "seed-done" | "application-mark";
  readonly disk: number;
  readonly pass: number;
  /** Without gaps over all disks and segments. */
  readonly sequence: number;
  /** Unix milliseconds of the source, never decreasing. */
  readonly timeMs: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** A record as stored in a segment: its data, if any, follows the header directly. */
export interface RecordHeader extends JournalRecord {
  /** 0 for the kinds without data, else `lengthBytes`. */
  readonly dataBytes: number;
  readonly dataChecksum: number;
}

/** docs/capture.md, "Journal": little-endian, the checksum of the header last. */
export const RECORD_HEADER_BYTES = 56;
const MAGIC = 0x524a574c;
const KINDS = ["write", "zero", "seed", "seed-zero", "seed-done", "application-mark"] as const;
const AT = {
  magic: 0,
  kind: 4,
  reserved: 5,
  disk: 6,
  pass: 8,
  dataBytes: 12,
  sequence: 16,
  offset: 24,
  length: 32,
  time: 40,
  dataChecksum: 48,
  checksum: 52,
};

const carriesData = (kind: JournalRecord["kind"]): boolean => kind === "write" || kind === "seed";

/**
 * Writes into `bytes` the header that precedes `data`, which is empty for kinds without data. `bytes` begins as
 * RECORD_HEADER_BYTES of zeros and is reused for every record: nothing ever changes the reserved one.
 */
export function encodeRecordHeader(
  bytes: Buffer,
  record: Omit<JournalRecord, "sequence">,
  sequence: number,
  data: Uint8Array,
): void {
  bytes.writeUInt32LE(MAGIC, AT.magic);
  bytes.writeUInt8(KINDS.indexOf(record.kind) + 1, AT.kind);
  bytes.writeUInt16LE(record.disk, AT.disk);
  bytes.writeUInt32LE(record.pass, AT.pass);
  bytes.writeUInt32LE(data.length, AT.dataBytes);
  writeUint64(bytes, sequence, AT.sequence);
  writeUint64(bytes, record.offsetBytes, AT.offset);
  writeUint64(bytes, record.lengthBytes, AT.length);
  writeUint64(bytes, record.timeMs, AT.time);
  bytes.writeUInt32LE(crc32(data), AT.dataChecksum);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, AT.checksum)), AT.checksum);
}

/** The header at the beginning of `bytes`, or undefined when it is cut off, damaged or invalid. */
export function decodeRecordHeader(bytes: Buffer): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES || bytes.readUInt32LE(AT.magic) !== MAGIC) return undefined;
  if (crc32(bytes.subarray(0, AT.checksum)) !== bytes.readUInt32LE(AT.checksum)) return undefined;
  const kind = KINDS[bytes.readUInt8(AT.kind) - 1];
  if (kind === undefined) return undefined;
  const header: RecordHeader = {
    kind,
    disk: bytes.readUInt16LE(AT.disk),
    pass: bytes.readUInt32LE(AT.pass),
    sequence: readUint64(bytes, AT.sequence),
    offsetBytes: readUint64(bytes, AT.offset),
    lengthBytes: readUint64(bytes, AT.length),
    timeMs: readUint64(bytes, AT.time),
    dataBytes: bytes.readUInt32LE(AT.dataBytes),
    dataChecksum: bytes.readUInt32LE(AT.dataChecksum),
  };
  const expectedData = carriesData(kind) ? header.lengthBytes : 0;
  const aligned = header.offsetBytes % SECTOR_BYTES === 0 && header.lengthBytes % SECTOR_BYTES === 0;
  return aligned && header.dataBytes === expectedData && header.dataBytes <= JOURNAL_RECORD_MAX_BYTES
    ? header
    : undefined;
}

function writeUint64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 2 ** 32, at);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}
