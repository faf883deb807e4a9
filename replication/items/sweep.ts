import { type LeewardError, hasCode } from "../errors.ts";
import { trimJournal } from "../points/trim-journal.ts";
import { type PointSweep, sweepPoints } from "../points/sweep-points.ts";
import { type RestoreSweep, sweepRestores } from "../restore/sweep-restores.ts";
import { restoresToWake } from "../restore/wake.ts";
import type { ItemContext } from "./context.ts";
import { findProgress } from "./heartbeat.ts";
import { findItem } from "./item-record.ts";
import type { ProtectedItem } from "./item.ts";
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
  readonly points: Omit<PointSweep, "kept" | "pins" | "neededStreams"> | undefined;
  readonly keptPoints: number;
  readonly trimmedJournal: number;
  /** Containers of earlier streams that nothing needs any more. */
  readonly removedContainers: number;
  /** Restores whose message was lost: the caller sends a new one for each. */
  readonly restores: readonly string[];
  /** Restores that were removed; undefined in the scope `hints`. */
  readonly endedRestores: RestoreSweep | undefined;
  /** The progress record is damaged: what does not need it was done. */
  readonly damaged: LeewardError | undefined;
  /** Work is left for the next sweep. */
  readonly more: boolean;
}

/**
 * One bounded, resumable sweep of one item: finds what no event announced, who died, what is due; applies retention; removes waste. Undefined if there is
 * no such item (enabling it may be under way). Safe to run at any time, side by side with workers and other sweeps (rule 10). A part that fails keeps none of
 * the others from its work: its failure is thrown when they are done.
 */
export async function sweepItem(context: ItemContext, itemId: string, scope: SweepScope = "all"): Promise<SweepSummary | undefined> {
  const stored = await findItem(context.stores, itemId);
  if (stored === undefined) return undefined;
  const failures: unknown[] = [];
  const part: Part = (work) => work.catch((error: unknown) => void failures.push(error));
  const { cache, damaged } = (await part(sweepCacheIfReadable(context, itemId))) ?? { cache: NOTHING, damaged: undefined };
  const tidied = scope === "hints" ? NOTHING_TIDIED : await tidy(context, stored.item, part);
  if (failures.length > 0) throw failures[0];
  return { itemId, cache, damaged, ...tidied, more: cache.more || tidied.more };
}

type Tidied = Omit<SweepSummary, "itemId" | "cache" | "damaged">;

const NOTHING_TIDIED: Tidied = {
  points: undefined,
  keptPoints: 0,
  trimmedJournal: 0,
  removedContainers: 0,
  restores: [],
  endedRestores: undefined,
  more: false,
};

/** Undefined when the part has failed. */
type Part = <Result>(work: Promise<Result>) => Promise<Result | undefined>;

async function tidy(context: ItemContext, item: ProtectedItem, part: Part): Promise<Tidied> {
  const { itemId } = item;
  const swept = await part(sweepPoints(context, item));
  if (swept === undefined) return { ...NOTHING_TIDIED, endedRestores: await part(sweepRestores(context, itemId)) };
  const { kept, pins, neededStreams, ...points } = swept;
  const progress = await part(findProgress(context.stores, itemId));
  const trimmedJournal = progress && (await part(trimJournal(context, itemId, progress, kept)));
  const removedContainers = await part(sweepStreams(context, item, neededStreams));
  const restores = await part(restoresToWake(context, itemId, pins));
  const endedRestores = await part(sweepRestores(context, itemId));
  return {
    points,
    keptPoints: kept.length,
    trimmedJournal: trimmedJournal ?? 0,
    removedContainers: removedContainers ?? 0,
    restores: restores ?? [],
    endedRestores,
    more: points.more,
  };
}

/** Points and restores do not depend on the progress record. */
async function sweepCacheIfReadable(context: ItemContext, itemId: string): Promise<Pick<SweepSummary, "cache" | "damaged">> {
  try {
    return { cache: await sweepCache(context, itemId), damaged: undefined };
  } catch (error) {
    if (hasCode(error, "record-corrupt")) return { cache: NOTHING, damaged: error };
    throw error;
  }
}
