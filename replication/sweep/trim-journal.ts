import { SWEEP_MAX_JOURNAL } from "../limits.ts";
import { parseDeltaName } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import type { PointManifest } from "../points/manifest.ts";
import type { Progress } from "../records/item.ts";

const JOURNAL_PREFIX = "journal/";

/**
 * Removes journal entries that no kept point needs, oldest first and at most SWEEP_MAX_JOURNAL of them; returns how
 * many. The oldest kept point of a stream holds everything up to its own epoch, so entries up to it go; without a point
 * the entries are the only copy and stay. Never beyond the applied position. `points` may be slightly stale: newer
 * points are at later epochs.
 */
export async function trimJournal(
  context: ItemContext,
  itemId: string,
  progress: Progress,
  points: readonly PointManifest[],
): Promise<number> {
  const records = context.stores.records(itemId);
  const listed = await records.list(JOURNAL_PREFIX, SWEEP_MAX_JOURNAL);
  const unneeded = listed.filter(({ name }) => {
    const entry = parseDeltaName(name.slice(JOURNAL_PREFIX.length));
    return entry !== undefined && entry.epoch <= lastUnneededEpoch(entry.stream, progress, points);
  });
  for (const { name } of unneeded) await records.remove(name);
  return unneeded.length;
}

/** The last epoch of a stream whose journal entry may go; 0 for none. Pure. */
export function lastUnneededEpoch(stream: number, progress: Progress, points: readonly PointManifest[]): number {
  const epochs = points.flatMap((point) => (point.stream === stream ? [point.position.epoch] : []));
  const oldest = epochs.length === 0 ? undefined : Math.min(...epochs);
  // Nothing can be added to a closed stream, and without a point nothing can be recovered from it.
  if (stream < progress.stream) return oldest ?? Number.MAX_SAFE_INTEGER;
  return stream === progress.stream && oldest !== undefined ? Math.min(oldest, progress.applied.epoch) : 0;
}
