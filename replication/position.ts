import { createHash } from "node:crypto";

/**
 * A place in the write log of one item. `checksum` is 64 lower-case hex digits of SHA-256 over everything before it
 * (docs/delta-format.md).
 */
export interface Position {
  readonly stream: number;
  readonly epoch: number;
  readonly checksum: string;
}

/**
 * A disk as the header of every delta describes it. Disks are ordered by id; extents name them by their index in that
 * order.
 */
export interface DiskDescription {
  readonly id: string;
  readonly sizeBytes: number;
  readonly sectorSizeBytes: 512 | 4096;
}

/**
 * The position before epoch 1 of a stream. It binds item, stream and disk table, so that no delta of another item or
 * shape can follow, and the stream's own nonce, so that no delta of an earlier stream with the same number can.
 */
export function startPosition(
  itemId: string,
  stream: number,
  disks: readonly DiskDescription[],
  nonce: string,
): Position {
  const text = [
    "leeward-stream-2",
    itemId,
    String(stream),
    nonce,
    ...disks.map((disk) => `${disk.id}:${disk.sizeBytes}:${disk.sectorSizeBytes}`),
  ].join("\n");
  return { stream, epoch: 0, checksum: createHash("sha256").update(text, "utf8").digest("hex") };
}

export function samePosition(left: Position, right: Position): boolean {
  return left.stream === right.stream && left.epoch === right.epoch && left.checksum === right.checksum;
}
