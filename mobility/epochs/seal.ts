import { join } from "node:path";
import type { DeltaHeader, ExtentContent } from "../../replication/delta/delta.ts";
import { writeDelta } from "../../replication/delta/encode.ts";
import { spansOf, type Span } from "../../replication/delta/spans.ts";
import { splitZeros } from "../../replication/delta/zeros.ts";
import type { DiskDescription, Position } from "../../replication/position.ts";
import type { RecordHeader } from "../journal/record.ts";
import { seedAfter, type SeedProgress } from "../journal/seed-progress.ts";
import { readSegmentBytes, walkSegment } from "../journal/segment.ts";
import { EPOCH_MAX_DATA_BYTES, JOURNAL_RECORD_MAX_BYTES, SEAL_COLLECT_BYTES, ZERO_RUN_MIN_BYTES } from "../limits.ts";
import { writeFileDurably } from "../system/durable-file.ts";
import type { Files } from "../system/files.ts";
import { createEpochIndex, type EpochIndex } from "./epoch-index.ts";
import { type ReusedCompressor, createReusedCompressor } from "./reused-compressor.ts";
import { spoolName } from "./spool.ts";

/** A closed segment and the place of its delta in the stream. Plain data: it is sent to the worker thread. */
export interface SealJob {
  readonly segmentPath: string;
  readonly spoolFolder: string;
  readonly itemId: string;
  readonly disks: readonly DiskDescription[];
  /** The position before this epoch. */
  readonly start: Position;
  /** The pass of initial replication that counts, and whether it was complete before this epoch. */
  readonly seed: SeedProgress;
}

export interface SealedEpoch {
  readonly end: Position;
  readonly lengthBytes: number;
  /** In the format of Content-MD5. */
  readonly md5: string;
  readonly lastSequence: number;
  readonly lastWriteMs: number;
  readonly seed: SeedProgress;
}

/**
 * Buffers for sealing, reused for every epoch: fresh ones of this size would pile up until the next garbage collection.
 */
export interface SealMemory {
  /**
   * One whole segment: its bytes are read and checked once, then compressed from here. Untouched pages cost no memory.
   */
  readonly segment: Buffer;
  /** One span whose data is in several records. */
  readonly span: Buffer;
  readonly compressor: ReusedCompressor;
  /** Called for every SEAL_COLLECT_BYTES compressed without reuse: frees what the compressors left behind. */
  readonly collect: () => void;
}

export function createSealMemory(collect: () => void): SealMemory {
  return {
    segment: Buffer.allocUnsafeSlow(EPOCH_MAX_DATA_BYTES),
    span: Buffer.allocUnsafeSlow(JOURNAL_RECORD_MAX_BYTES),
    compressor: createReusedCompressor(),
    collect,
  };
}

/**
 * Makes the delta of a closed segment durable in the spool; undefined when the segment holds no record. Writes the
 * delta to its file while making it, so that memory is bounded by the buffers and the tables. Running it again makes
 * the same file.
 */
export function sealEpoch(
  files: Files,
  job: SealJob,
  memory: SealMemory = createSealMemory(() => undefined),
): SealedEpoch | undefined {
  const bytes = readSegmentBytes(files, job.segmentPath, memory.segment);
  const index = createEpochIndex(job.disks.length);
  let first: RecordHeader | undefined;
  let last: RecordHeader | undefined;
  let { seed } = job;
  walkSegment(bytes, (record, dataOffsetBytes) => {
    first ??= record;
    last = record;
    if (record.pass !== 0) seed = seedAfter(seed, [{ header: record, data: EMPTY }]);
    index.add(record, dataOffsetBytes);
  });
  return first === undefined || last === undefined
    ? undefined
    : writeEpoch(files, job, { first, last, seed, index }, bytes, memory);
}

const EMPTY = Buffer.alloc(0);

interface WalkedEpoch {
  readonly first: RecordHeader;
  readonly last: RecordHeader;
  readonly seed: SeedProgress;
  /** Data runs point into the bytes of the segment. */
  readonly index: EpochIndex;
}

function writeEpoch(
  files: Files,
  job: SealJob,
  { first, last, seed, index }: WalkedEpoch,
  bytes: Buffer,
  memory: SealMemory,
): SealedEpoch {
  const header: DeltaHeader = {
    itemId: job.itemId,
    stream: job.start.stream,
    epoch: job.start.epoch + 1,
    firstWriteMs: first.timeMs,
    lastWriteMs: last.timeMs,
    start: job.start,
    disks: job.disks,
    // When a pass ends inside an epoch, all of its records lie at or before the end of this epoch: the target is a full
    // image there. Records after the mark would belong to a later moment.
    flags: {
      consistency: last.kind === "application-mark" ? "application" : "crash",
      seeding: !seed.done,
      final: false,
      groupMark: false,
    },
  };
  let end = job.start;
  let lengthBytes = 0;
  const md5 = writeFileDurably(files, join(job.spoolFolder, "sealing.tmp"), (append) => {
    const keep = (piece: Uint8Array): void => {
      lengthBytes += piece.length;
      append(piece);
    };
    end = writeDelta(header, contentsOf(index, bytes, memory), keep, memory.compressor);
    return join(job.spoolFolder, spoolName(end));
  });
  return { end, lengthBytes, md5, lastSequence: last.sequence, lastWriteMs: last.timeMs, seed };
}

/**
 * The extents of the epoch in the order of the format, with zeros split off. Each span of data is one piece, valid
 * until the next is requested.
 */
function* contentsOf(index: EpochIndex, bytes: Buffer, memory: SealMemory): Generator<ExtentContent> {
  let compressedBytes = 0;
  for (const [disk, map] of index.disks.entries()) {
    for (const span of spansOf(map.entries(), JOURNAL_RECORD_MAX_BYTES)) {
      yield* splitZeros(contentOf(disk, span, bytes, memory.span), ZERO_RUN_MIN_BYTES);
      compressedBytes += span.kind === "data" ? span.lengthBytes : 0;
      if (compressedBytes < SEAL_COLLECT_BYTES || memory.compressor.isReused) continue;
      compressedBytes = 0;
      memory.collect();
    }
  }
}

function contentOf(disk: number, span: Span<"segment">, bytes: Buffer, buffer: Buffer): ExtentContent {
  const { offsetBytes, lengthBytes } = span;
  if (span.kind === "zero") return { kind: "zero", disk, offsetBytes, lengthBytes };
  const only = span.runs.length === 1 ? span.runs[0] : undefined;
  if (only !== undefined) {
    return {
      kind: "data",
      disk,
      offsetBytes,
      bytes: bytes.subarray(only.sourceOffsetBytes, only.sourceOffsetBytes + lengthBytes),
    };
  }
  let filled = 0;
  for (const run of span.runs) {
    filled += bytes.copy(buffer, filled, run.sourceOffsetBytes, run.sourceOffsetBytes + run.lengthBytes);
  }
  return { kind: "data", disk, offsetBytes, bytes: buffer.subarray(0, filled) };
}
