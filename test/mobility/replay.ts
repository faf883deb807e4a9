import { expect } from "vitest";
import { decodeDelta } from "../../replication/delta/decode.ts";
import type { DeltaHeader } from "../../replication/delta/delta.ts";
import { parseDeltaName } from "../../replication/names.ts";
import { startPosition, type Position } from "../../replication/position.ts";

export interface Replayed {
  /** The disks as zero-filled target disks become by these deltas, in the order of their ids. */
  readonly images: readonly Buffer[];
  readonly headers: readonly DeltaHeader[];
  readonly end: Position | undefined;
}

/** Of all streams of the tests. */
export const NONCE = "0123456789abcdef0123456789abcdef";

/**
 * Applies deltas in order onto zeros and holds the chain: every delta starts where the one before ended, and times
 * never decrease.
 */
export function replay(
  blobs: ReadonlyMap<string, Buffer>,
  lastEpoch = Number.POSITIVE_INFINITY,
  applied: (header: DeltaHeader, images: readonly Buffer[]) => void = () => undefined,
  nonce = NONCE,
): Replayed {
  const images: Buffer[] = [];
  const headers: DeltaHeader[] = [];
  let end: Position | undefined;
  let lastMs = 0;
  for (const name of [...blobs.keys()].toSorted()) {
    const delta = decodeDelta(blobs.get(name) ?? Buffer.alloc(0));
    const { header } = delta;
    if (header.epoch > lastEpoch) break;
    expect(parseDeltaName(name)).toEqual({ stream: header.stream, epoch: header.epoch });
    expect(header.start).toEqual(end ?? startPosition(header.itemId, header.stream, header.disks, nonce));
    expect(header.firstWriteMs).toBeGreaterThanOrEqual(lastMs);
    lastMs = header.lastWriteMs;
    if (images.length === 0) images.push(...header.disks.map((disk) => Buffer.alloc(disk.sizeBytes)));
    for (const extent of delta.extents) {
      if (extent.kind === "zero")
        images[extent.disk]?.fill(0, extent.offsetBytes, extent.offsetBytes + extent.lengthBytes);
    }
    for (const [index, entry] of delta.frames.entries()) images[entry.disk]?.set(delta.frame(index), entry.offsetBytes);
    headers.push(header);
    applied(header, images);
    end = delta.end;
  }
  return { images, headers, end };
}
