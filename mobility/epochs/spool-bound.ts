import { SPOOL_BOUND_LOOK_MS, SPOOL_FREE_SHARE } from "../limits.ts";
import type { Clock } from "../system/clock.ts";
import type { Files } from "../system/files.ts";

export interface SpoolBoundOptions {
  readonly files: Files;
  /** The state folder. */
  readonly folder: string;
  readonly maxBytes: number;
  /** Space that deltas and journal take now. */
  readonly ownBytes: () => number;
  /** The unsealed part of it: it needs the same space again before it can be removed. */
  readonly unsealedBytes: () => number;
  readonly clock: Clock;
}

/**
 * The space that deltas and journal may take: the configured bytes, and never more than a share of what the disk has
 * for them, leaving space to seal what is recorded. Without that space a full disk could neither seal nor send its
 * content. Checks the disk once a second.
 */
export function createSpoolBound({
  files,
  folder,
  maxBytes,
  ownBytes,
  unsealedBytes,
  clock,
}: SpoolBoundOptions): () => number {
  let roomBytes = 0;
  let lookedMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedMs >= SPOOL_BOUND_LOOK_MS) {
      lookedMs = nowMs;
      roomBytes = Math.floor(SPOOL_FREE_SHARE * (files.freeBytes(folder) + ownBytes()));
    }
    return Math.max(0, Math.min(maxBytes, roomBytes - unsealedBytes()));
  };
}
