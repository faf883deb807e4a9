import type { DecodedDelta } from "../delta/delta.ts";
import { invariant } from "../errors.ts";
import type { PageOperation, PutPage } from "./plan.ts";

/** A request with its bytes: those of a Put Page, undefined for Clear Pages. */
export interface PageWrite {
  readonly operation: PageOperation;
  readonly bytes: Uint8Array | undefined;
}

/**
 * Decodes frames as their turn comes. Operations and frames are both in the order of disk and offset, so one frame kept per delta is enough to decode
 * each frame once. Memory: one frame of at most 1 MiB per delta of the batch (BATCH_MAX_DELTAS), released with its last byte, and the
 * bytes of the requests that the caller has in flight. Errors: `delta-corrupt` when the plain bytes of a frame do not match their checksum (rule 6).
 */
export function* pageWrites(operations: readonly PageOperation[], deltas: readonly DecodedDelta[]): Generator<PageWrite> {
  const readers = deltas.map(createFrameReader);
  for (const operation of operations) {
    yield { operation, bytes: operation.kind === "put" ? assemble(operation, readers) : undefined };
  }
}

type FrameReader = (disk: number, offsetBytes: number, target: Uint8Array) => void;

function assemble(put: PutPage, readers: readonly FrameReader[]): Uint8Array {
  const bytes = new Uint8Array(put.lengthBytes);
  for (const run of put.runs) {
    const reader = readers[run.source];
    invariant(reader !== undefined, "a run comes from a delta of the batch", { source: run.source });
    const from = run.offsetBytes - put.offsetBytes;
    reader(put.disk, run.sourceOffsetBytes, bytes.subarray(from, from + run.lengthBytes));
  }
  return bytes;
}

/** Fills `target` with the plain bytes of a delta from a disk offset on; calls come in the order of disk and offset. */
function createFrameReader(delta: DecodedDelta): FrameReader {
  let index = 0;
  let plain: Uint8Array | undefined;
  return (disk, offsetBytes, target) => {
    let done = 0;
    while (done < target.length) {
      const at = offsetBytes + done;
      let frame = delta.frames[index];
      while (frame !== undefined && (frame.disk < disk || (frame.disk === disk && frame.offsetBytes + frame.lengthBytes <= at))) {
        index += 1;
        plain = undefined;
        frame = delta.frames[index];
      }
      invariant(frame?.disk === disk && frame.offsetBytes <= at, "the frames of a delta cover its data extents", { disk, offsetBytes: at });
      plain ??= delta.frame(index);
      const from = at - frame.offsetBytes;
      const length = Math.min(target.length - done, frame.lengthBytes - from);
      target.set(plain.subarray(from, from + length), done);
      done += length;
      if (from + length === frame.lengthBytes) plain = undefined;
    }
  };
}
