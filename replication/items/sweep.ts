import { invariant } from "../errors.ts";
import { trimJournal } from "../points/trim-journal.ts";
import { type PointSweep, sweepPoints } from "../points/sweep-points.ts";
import { type RestoreSweep, sweepRestores } from "../restore/sweep-restores.ts";
import { restoresToWake } from "../restore/wake.ts";
import type { ItemContext } from "./context.ts";
import { findProgress } from "./heartbeat.ts";
import { findItem } from "./item-record.ts";
import type { ProtectedItem } from "./item.ts";
import { type CacheSweep, sweepCache } from "./sweep-cache.ts";
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
  /** Work is left for the next sweep. */
  readonly more: boolean;
}

/**
 * One bounded, resumable sweep of one item: finds what no event announced, who died, what is due; applies retention; removes waste. Undefined if there is
 * no such item (enabling it may be under way). Safe to run at any time, side by side with workers and other sweeps (rule 10). A part that fails, because a
 * record of its own is damaged for one, keeps none of the others from its work: its failure is thrown when they are done.
 */
export async function sweepItem(context: ItemContext, itemId: string, scope: SweepScope = "all"): Promise<SweepSummary | undefined> {
  const stored = await findItem(context.stores, itemId);
  if (stored === undefined) return undefined;
  const failures: unknown[] = [];
  const part = <Result>(work: Promise<Result>): Promise<Result | undefined> => work.catch((error: unknown) => void failures.push(error));
  const cache = await part(sweepCache(context, itemId));
  const tidied = scope === "hints" ? NOTHING_TIDIED : await tidy(context, stored.item, part);
  if (failures.length > 0) throw failures[0];
  invariant(cache !== undefined, "a part of a sweep that did not fail has a result");
  return { itemId, cache, ...tidied, more: cache.more || tidied.more };
}

type Tidied = Omit<SweepSummary, "itemId" | "cache">;

const NOTHING_TIDIED: Tidied = {
  points: undefined,
  keptPoints: 0,
  trimmedJournal: 0,
  removedContainers: 0,
  restores: [],
  endedRestores: undefined,
  more: false,
};

async function tidy(
  context: ItemContext,
  item: ProtectedItem,
  part: <Result>(work: Promise<Result>) => Promise<Result | undefined>,
): Promise<Tidied> {
  const { itemId } = item;
  const swept = await part(sweepPoints(context, item));
  if (swept === undefined) return { ...NOTHING_TIDIED, endedRestores: await part(sweepRestores(context, itemId)) };
  const { kept, pins, neededStreams, ...points } = swept;
  const trimmedJournal = await part(
    findProgress(context.stores, itemId).then((progress) => (progress === undefined ? 0 : trimJournal(context, itemId, progress, kept))),
  );
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
