import type { DiskDescription, Position } from "../position.ts";

/** What the last write of an epoch leaves on the disks. */
export type Consistency = "crash" | "file-system" | "application";

export interface DeltaFlags {
  readonly consistency: Consistency;
  /** After this delta the target is not yet a full image: no recovery point may be taken. */
  readonly seeding: boolean;
  /** The last delta before a planned failover; nothing follows in this stream. */
  readonly final: boolean;
  /** A mark shared by a replication group ends here. */
  readonly groupMark: boolean;
}

/**
 * The header of one delta: epoch `epoch` of stream `stream`, following `start`. Times are Unix milliseconds of the
 * source, never decreasing in a stream except after a false one.
 */
export interface DeltaHeader {
  readonly itemId: string;
  readonly stream: number;
  readonly epoch: number;
  readonly firstWriteMs: number;
  readonly lastWriteMs: number;
  readonly start: Position;
  readonly disks: readonly DiskDescription[];
  readonly flags: DeltaFlags;
}

/** A run of sectors of one disk, last content only: sorted by disk and offset, never overlapping, 512-byte aligned. */
export type Extent =
  | { readonly kind: "zero"; readonly disk: number; readonly offsetBytes: number; readonly lengthBytes: number }
  | { readonly kind: "data"; readonly disk: number; readonly offsetBytes: number; readonly lengthBytes: number };

/** An extent as the encoder takes it: data extents carry their bytes; `bytes.length` is their length. */
export type ExtentContent =
  | { readonly kind: "zero"; readonly disk: number; readonly offsetBytes: number; readonly lengthBytes: number }
  | { readonly kind: "data"; readonly disk: number; readonly offsetBytes: number; readonly bytes: Uint8Array };

export interface EncodedDelta {
  readonly bytes: Uint8Array;
  readonly end: Position;
}

/**
 * A checked delta: header, tables and file checksum have been verified; `frame(n)` decodes and verifies one frame of at
 * most 1 MiB.
 */
export interface DecodedDelta {
  readonly header: DeltaHeader;
  readonly end: Position;
  readonly extents: readonly Extent[];
  /**
   * Frames in file order, that is by disk and offset. A data extent of more than 1 MiB has several; a frame never spans
   * extents.
   */
  readonly frames: readonly FrameEntry[];
  /** The plain bytes of frame `index`; throws `delta-corrupt` when its checksum does not match. */
  frame(index: number): Uint8Array;
}

export interface FrameEntry {
  readonly disk: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}
