import type { DecodedDelta } from "../delta/delta.ts";
import { FRAME_MEMORY_BYTES } from "./limits.ts";

/** A delta whose decoded frames stay in memory until they are used. */
export interface HeldDelta extends DecodedDelta {
  /** Length of the file. */
  readonly lengthBytes: number;
  /** No byte of the frame is needed any more. */
  release(index: number): void;
}

/** Memory left for the held frames of one batch: shared by its deltas, at first FRAMES_HELD_MAX_BYTES. */
export interface HoldingRoom {
  leftBytes: number;
}

/**
 * Every frame is decoded and checked before its delta may become intent, and its bytes are needed again when the pages
 * are written. While memory lasts the first decoding serves both; after that a frame is decoded and checked again.
 */
export function holdFrames(delta: DecodedDelta, file: Uint8Array, room: HoldingRoom): HeldDelta {
  const held = new Map<number, Uint8Array>();
  // A frame that is stored raw is part of the file, which is in memory anyway.
  const costBytes = (plain: Uint8Array): number =>
    FRAME_MEMORY_BYTES + (plain.buffer === file.buffer ? 0 : plain.length);
  return {
    ...delta,
    lengthBytes: file.length,
    frame(index) {
      const known = held.get(index);
      if (known !== undefined) return known;
      const plain = delta.frame(index);
      if (costBytes(plain) <= room.leftBytes) {
        room.leftBytes -= costBytes(plain);
        held.set(index, plain);
      }
      return plain;
    },
    release(index) {
      const known = held.get(index);
      if (known === undefined) return;
      room.leftBytes += costBytes(known);
      held.delete(index);
    },
  };
}
