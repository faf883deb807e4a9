import { EPOCH_MAX_DATA_BYTES } from "../mobility/limits.ts";
import type { EncodedDelta, Extent, ExtentContent } from "../replication/delta/delta.ts";
import { encodeDelta } from "../replication/delta/encode.ts";
import { createExtentMap } from "../replication/delta/extents.ts";
import { spansOf, type Span } from "../replication/delta/spans.ts";
import { startPosition, type DiskDescription, type Position } from "../replication/position.ts";
import type { TraceWrite } from "./trace.ts";

/** The writes of one epoch, in order. */
export type Epoch = readonly TraceWrite[];
/** The bytes of a write in the trace. */
export type Content = (write: TraceWrite) => Uint8Array;

/** Cuts a trace by age and by size, as the mobility service does. */
export function epochsOf(trace: readonly TraceWrite[], epochMs: number): readonly Epoch[] {
  const epochs: TraceWrite[][] = [];
  let startMs = 0;
  let lengthBytes = Infinity;
  for (const write of trace) {
    if (lengthBytes + write.lengthBytes > EPOCH_MAX_DATA_BYTES || write.atMs >= startMs + epochMs) {
      epochs.push([]);
      startMs = write.atMs;
      lengthBytes = 0;
    }
    epochs.at(-1)?.push(write);
    lengthBytes += write.lengthBytes;
  }
  return epochs;
}

/** All streams use it: the deltas can be made before the item. */
export const NONCE = "0".repeat(32);

/** The deltas of the epochs as the mobility service would send them: per disk the last content of each sector. */
export function* deltasOf(
  itemId: string,
  disks: readonly DiskDescription[],
  epochs: Iterable<Epoch>,
  content: Content,
): Generator<EncodedDelta> {
  let start: Position = startPosition(itemId, 1, disks, NONCE);
  for (const epoch of epochs) {
    const first = epoch[0]?.atMs ?? 0;
    const last = epoch.at(-1)?.atMs ?? first;
    const flags = { consistency: "crash", seeding: false, final: false, groupMark: false } as const;
    const header = {
      itemId,
      stream: 1,
      epoch: start.epoch + 1,
      firstWriteMs: first,
      lastWriteMs: last,
      start,
      disks,
      flags,
    };
    const delta = encodeDelta(header, contentsOf(epoch, disks.length, content));
    start = delta.end;
    yield delta;
  }
}

/** An epoch's extents, without its bytes. */
export function extentsOf(epoch: Epoch, diskCount: number): readonly Extent[] {
  return [...spansOfDisks(epoch, diskCount)].map(({ disk, span: { kind, offsetBytes, lengthBytes } }) => ({
    kind,
    disk,
    offsetBytes,
    lengthBytes,
  }));
}

function* contentsOf(epoch: Epoch, diskCount: number, content: Content): Generator<ExtentContent> {
  for (const { disk, span } of spansOfDisks(epoch, diskCount)) {
    if (span.kind === "zero") continue;
    const bytes = new Uint8Array(span.lengthBytes);
    for (const { source, sourceOffsetBytes, offsetBytes, lengthBytes } of span.runs) {
      bytes.set(
        content(source).subarray(sourceOffsetBytes, sourceOffsetBytes + lengthBytes),
        offsetBytes - span.offsetBytes,
      );
    }
    yield { kind: "data", disk, offsetBytes: span.offsetBytes, bytes };
  }
}

function* spansOfDisks(
  epoch: Epoch,
  diskCount: number,
): Generator<{ readonly disk: number; readonly span: Span<TraceWrite> }> {
  for (let disk = 0; disk < diskCount; disk += 1) {
    const map = createExtentMap<TraceWrite>();
    for (const write of epoch) {
      const { offsetBytes, lengthBytes } = write;
      if (write.disk === disk)
        map.insert({ kind: "data", offsetBytes, lengthBytes, source: write, sourceOffsetBytes: 0 });
    }
    for (const span of spansOf(map.entries(), Infinity)) yield { disk, span };
  }
}
