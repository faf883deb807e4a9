import { type LeewardError, hasCode } from "../errors.ts";
import { trimJournal } from "../points/trim-journal.ts";
import { type PointSweep, sweepPoints } from "../points/sweep-points.ts";
import { type RestoreSweep, sweepRestores } from "../restore/sweep-restores.ts";
import { restoresToWake } from "../restore/wake.ts";
import type { ItemContext } from "./context.ts";
import { findProgress } from "./heartbeat.ts";
import { findItem } from "./item-record.ts";
import { type CacheSweep, NOTHING, sweepCache } from "./sweep-cache.ts";
import { sweepStreams } from "./sweep-streams.ts";

/**
 * `hints`: only what keeps an item moving, cheap enough for every half minute (two or three reads and one listing).
 * `all`: retention and tidying too, which lists points and snapshots and reads every manifest: every few minutes.
 */
export type SweepScope = "hints" | "all";

export interface SweepSummary {
  readonly itemId: string;
  /** The caller sends a hint when `cache.hints` is not empty. */
  readonly cache: CacheSweep;
  /** Undefined in the scope `hints`. */
  readonly points: Omit<PointSweep, "kept" | "pins"> | undefined;
  readonly keptPoints: number;
  readonly trimmedJournal: number;
  /** Containers of earlier streams that nothing needs any more. */
  readonly removedContainers: number;
  /** Restores whose message was lost: the caller sends a new one for each. */
  readonly restores: readonly string[];
  /** Restores that were removed; undefined in the scope `hints`. */
  readonly endedRestores: RestoreSweep | undefined;
  /** The progress record is damaged: what does not need it was done. */
  readonly damage: LeewardError | undefined;
  /** Work is left for the next sweep. */
  readonly more: boolean;
}

/**
 * One bounded, resumable sweep of one item: finds what no event announced, who died, what is due; applies retention; removes waste. Undefined if there is
 * no such item (enabling it may be under way). Safe to run at any time, side by side with workers and other sweeps (rule 10).
 */
export async function sweepItem(context: ItemContext, itemId: string, scope: SweepScope = "all"): Promise<SweepSummary | undefined> {
  const stored = await findItem(context.stores, itemId);
  if (stored === undefined) return undefined;
  const { cache, damage } = await sweepCacheIfReadable(context, itemId);
  if (scope === "hints") {
    const nothing = { points: undefined, keptPoints: 0, trimmedJournal: 0, removedContainers: 0, restores: [], endedRestores: undefined };
    return { itemId, cache, ...nothing, damage, more: cache.more };
  }
  const { kept, pins, ...points } = await sweepPoints(context, stored.item);
  const progress = await findProgress(context.stores, itemId);
  const trimmedJournal = progress === undefined ? 0 : await trimJournal(context, itemId, progress, kept);
  const removedContainers = await sweepStreams(context, stored.item, new Set(kept.map(({ stream }) => stream)));
  const restores = await restoresToWake(context, itemId, pins);
  const endedRestores = await sweepRestores(context, itemId);
  const more = cache.more || points.more;
  return { itemId, cache, points, keptPoints: kept.length, trimmedJournal, removedContainers, restores, endedRestores, damage, more };
}

/** Points and restores do not depend on the progress record. */
async function sweepCacheIfReadable(context: ItemContext, itemId: string): Promise<Pick<SweepSummary, "cache" | "damage">> {
  try {
    return { cache: await sweepCache(context, itemId), damage: undefined };
  } catch (error) {
    if (hasCode(error, "record-corrupt")) return { cache: NOTHING, damage: error };
    throw error;
  }
}
