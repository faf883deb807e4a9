import type { DeltaHeader, ExtentContent } from "../../replication/delta/delta.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { spansOf } from "../../replication/delta/spans.ts";
import type { Span } from "../../replication/delta/spans.ts";
import { splitZeros } from "../../replication/delta/zeros.ts";
import { JOURNAL_RECORD_MAX_BYTES, ZERO_RUN_MIN_BYTES } from "../../replication/limits.ts";
import type { DiskDescription, Position } from "../../replication/position.ts";
import { RECORD_HEADER_BYTES } from "../journal/record.ts";
import { readSegment, SEGMENT_HEADER_BYTES } from "../journal/segment.ts";
import type { IntactRecord, SegmentContent } from "../journal/segment.ts";
import { seedAfter } from "../seeding/progress.ts";
import type { SeedProgress } from "../seeding/progress.ts";
import { createEpochIndex } from "./epoch-index.ts";
import type { EpochIndex } from "./epoch-index.ts";
import { writeSpoolFile } from "./spool.ts";

/** A closed segment and the place in the stream where its delta belongs. Plain data: it travels to the worker thread. */
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
  readonly lastSequence: number;
  readonly lastWriteMs: number;
  readonly seed: SeedProgress;
}

/** Makes the delta of a closed segment durable in the spool; undefined when the segment holds no record. Running it again makes the same file. */
export function sealEpoch(job: SealJob): SealedEpoch | undefined {
  const segment = readSegment(job.segmentPath);
  const first = segment.records[0];
  const last = segment.records.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const seed = seedAfter(job.seed, segment.records);
  const header: DeltaHeader = {
    itemId: job.itemId,
    stream: job.start.stream,
    epoch: job.start.epoch + 1,
    firstWriteMs: first.header.timeMs,
    lastWriteMs: last.header.timeMs,
    start: job.start,
    disks: job.disks,
    // When a pass ends inside an epoch, all of its records lie at or before the end of this epoch: the target is a full image there.
    // Records behind the mark would belong to a later moment.
    flags: {
      consistency: last.header.kind === "application-mark" ? "application" : "crash",
      seeding: !seed.done,
      final: false,
      groupMark: false,
    },
  };
  const { index, starts } = indexSegment(segment, job.disks.length);
  const delta = encodeDelta(header, contentsOf(index, segment.records, starts), segment.intactBytes);
  writeSpoolFile(job.spoolFolder, delta.end, delta.bytes);
  return {
    end: delta.end,
    lengthBytes: delta.bytes.length,
    lastSequence: last.header.sequence,
    lastWriteMs: last.header.timeMs,
    seed,
  };
}

interface IndexedSegment {
  readonly index: EpochIndex;
  /** Where the data of each record begins in the segment. */
  readonly starts: readonly number[];
}

function indexSegment(segment: SegmentContent, diskCount: number): IndexedSegment {
  const index = createEpochIndex(diskCount);
  const starts: number[] = [];
  let at = SEGMENT_HEADER_BYTES;
  for (const { header } of segment.records) {
    starts.push(at + RECORD_HEADER_BYTES);
    index.add(header, at + RECORD_HEADER_BYTES);
    at += RECORD_HEADER_BYTES + header.dataBytes;
  }
  return { index, starts };
}

/** The extents of the epoch in the order of the format, zeros split off, each span of data in one piece. */
function* contentsOf(index: EpochIndex, records: readonly IntactRecord[], starts: readonly number[]): Generator<ExtentContent> {
  for (const [disk, map] of index.disks.entries()) {
    for (const span of spansOf(map.entries(), JOURNAL_RECORD_MAX_BYTES)) {
      yield* splitZeros(contentOf(disk, span, records, starts), ZERO_RUN_MIN_BYTES);
    }
  }
}

function contentOf(disk: number, span: Span<"segment">, records: readonly IntactRecord[], starts: readonly number[]): ExtentContent {
  const { offsetBytes, lengthBytes } = span;
  if (span.kind === "zero") return { kind: "zero", disk, offsetBytes, lengthBytes };
  const parts = span.runs.map((run) => {
    const at = lastAtOrBefore(starts, run.sourceOffsetBytes);
    const from = run.sourceOffsetBytes - (starts[at] ?? 0);
    return records[at]?.data.subarray(from, from + run.lengthBytes) ?? Buffer.alloc(0);
  });
  const only = parts.length === 1 ? parts[0] : undefined;
  return { kind: "data", disk, offsetBytes, bytes: only ?? Buffer.concat(parts) };
}

/** The index of the last of the ascending `starts` that is at most `offset`. */
function lastAtOrBefore(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle;
  }
  return low;
}
