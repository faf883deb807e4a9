import { statfsSync } from "node:fs";
import { SPOOL_BOUND_LOOK_MS, SPOOL_FREE_SHARE } from "../../replication/limits.ts";

/** What deltas and journal may take: the configured bytes, and never more than a share of what the disk has for them. Looks at the disk once a second. */
export function createSpoolBound(folder: string, maxBytes: number, ownBytes: () => number, monotonicMs: () => number): () => number {
  let boundBytes = 0;
  let lookedMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - lookedMs < SPOOL_BOUND_LOOK_MS) return boundBytes;
    lookedMs = nowMs;
    const { bavail, bsize } = statfsSync(folder);
    boundBytes = Math.min(maxBytes, SPOOL_FREE_SHARE * (bavail * bsize + ownBytes()));
    return boundBytes;
  };
}
