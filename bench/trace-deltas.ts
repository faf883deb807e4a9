import { encodeDelta } from "../replication/delta/encode.ts";
import type { EncodedDelta, ExtentContent } from "../replication/delta/delta.ts";
import { createExtentMap } from "../replication/delta/extents.ts";
import { spansOf } from "../replication/delta/spans.ts";
import { EPOCH_MAX_DATA_BYTES } from "../replication/limits.ts";
import { startPosition } from "../replication/position.ts";
import type { DiskDescription, Position } from "../replication/position.ts";
import type { TraceWrite } from "./trace.ts";

/** The writes of one epoch, in order. */
export type Epoch = readonly TraceWrite[];
/** The bytes that a write of the trace carries. */
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

/** The deltas of the epochs as the mobility service would send them: per disk the last content of each sector. */
export function* deltasOf(
  itemId: string,
  disks: readonly DiskDescription[],
  epochs: Iterable<Epoch>,
  content: Content,
): Generator<EncodedDelta> {
  let start: Position = startPosition(itemId, 1, disks);
  for (const epoch of epochs) {
    const first = epoch[0]?.atMs ?? 0;
    const last = epoch.at(-1)?.atMs ?? first;
    const flags = { consistency: "crash", seeding: false, final: false, groupMark: false } as const;
    const header = { itemId, stream: 1, epoch: start.epoch + 1, firstWriteMs: first, lastWriteMs: last, start, disks, flags };
    const delta = encodeDelta(header, extentsOf(epoch, disks.length, content));
    start = delta.end;
    yield delta;
  }
}

function* extentsOf(epoch: Epoch, diskCount: number, content: Content): Generator<ExtentContent> {
  for (let disk = 0; disk < diskCount; disk += 1) {
    const map = createExtentMap<Uint8Array>();
    for (const write of epoch.filter((entry) => entry.disk === disk)) {
      const { offsetBytes, lengthBytes } = write;
      map.insert({ kind: "data", offsetBytes, lengthBytes, source: content(write), sourceOffsetBytes: 0 });
    }
    for (const span of spansOf(map.entries(), Infinity)) {
      if (span.kind === "zero") continue;
      const bytes = new Uint8Array(span.lengthBytes);
      for (const run of span.runs) {
        bytes.set(run.source.subarray(run.sourceOffsetBytes, run.sourceOffsetBytes + run.lengthBytes), run.offsetBytes - span.offsetBytes);
      }
      yield { kind: "data", disk, offsetBytes: span.offsetBytes, bytes };
    }
  }
}
