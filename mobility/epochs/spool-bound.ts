import { statfsSync } from "node:fs";
import { SPOOL_BOUND_LOOK_MS, SPOOL_FREE_SHARE } from "../../replication/limits.ts";

export interface SpoolBoundOptions {
  /** The state folder. */
  readonly folder: string;
  readonly maxBytes: number;
  /** What deltas and journal take now. */
  readonly ownBytes: () => number;
  /** The part of it that is not sealed yet: it needs as much room again before it can go. */
  readonly unsealedBytes: () => number;
  readonly monotonicMs: () => number;
}

/**
 * What deltas and journal may take: the configured bytes, and never more than a share of what the disk has for them, with room to seal what is recorded. Without
 * that room a full disk could neither seal nor send what fills it. Looks at the disk once a second.
 */
export function createSpoolBound({ folder, maxBytes, ownBytes, unsealedBytes, monotonicMs }: SpoolBoundOptions): () => number {
  let roomBytes = 0;
  let lookedMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - lookedMs >= SPOOL_BOUND_LOOK_MS) {
      lookedMs = nowMs;
      const { bavail, bsize } = statfsSync(folder);
      roomBytes = Math.floor(SPOOL_FREE_SHARE * (bavail * bsize + ownBytes()));
    }
    return Math.max(0, Math.min(maxBytes, roomBytes - unsealedBytes()));
  };
}
