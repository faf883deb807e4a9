import type { LeewardError } from "../errors.ts";
import { readCatalog } from "../points/catalog.ts";
import type { ItemContext } from "../points/context.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { findItem } from "../records/item-record.ts";
import type { ProtectedItem } from "../records/item.ts";
import { findProgress } from "../service/heartbeat.ts";
import { removeStrays } from "./remove-strays.ts";
import { type CacheSweep, NOTHING, sweepCache } from "./sweep-cache.ts";
import { type PointSweep, heldPins, sweepPoints } from "./sweep-points.ts";
import { type RestoreSweep, sweepRestores } from "./sweep-restores.ts";
import { sweepStreams } from "./sweep-streams.ts";
import { trimJournal } from "./trim-journal.ts";
import { restoresToWake } from "./wake-restores.ts";

/**
 * `hints`: only what keeps an item moving, cheap enough for every half minute (two or three reads and one listing).
 * `all`: retention and cleanup too, which lists points and snapshots and reads every manifest: every few minutes.
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
  /** A record of the item is unreadable: parts that need it were skipped, all else was done. */
  readonly damaged: LeewardError | undefined;
  /** Work is left for the next sweep. */
  readonly more: boolean;
}

/**
 * One bounded, resumable sweep of one item: finds unannounced changes, dead workers and due work; applies retention;
 * removes waste. Undefined if there is no such item (enabling it may be under way). Safe to run at any time,
 * concurrently with workers and other sweeps (rule 10). A failing part stops none of the others: a damaged record is
 * named in the summary, any other failure is thrown when all are done.
 */
export async function sweepItem(
  context: ItemContext,
  itemId: string,
  scope: SweepScope = "all",
): Promise<SweepSummary | undefined> {
  const failures: unknown[] = [];
  let damaged: LeewardError | undefined;
  const part: RunPart = async (work, otherwise) => {
    try {
      return await unlessDamaged(work, (damage) => {
        damaged ??= damage;
        return otherwise;
      });
    } catch (error) {
      failures.push(error);
      return otherwise;
    }
  };
  if (scope === "all") await part(() => removeStrays(context.stores, itemId), 0);
  const stored = await part(() => findItem(context.stores, itemId), "damaged" as const);
  if (stored === undefined) {
    if (failures.length > 0) throw failures[0];
    return undefined;
  }
  const item = stored === "damaged" ? undefined : stored.item;
  const cache = item === undefined ? NOTHING : await part(() => sweepCache(context, itemId), NOTHING);
  const tidied = scope === "hints" ? NOTHING_TIDIED : await tidy(context, itemId, item, part);
  if (failures.length > 0) throw failures[0];
  return { itemId, cache, ...tidied, damaged, more: cache.more || tidied.more };
}

/** Runs one part of a sweep, and returns `otherwise` when it fails. */
type RunPart = <Result, Otherwise>(work: () => Promise<Result>, otherwise: Otherwise) => Promise<Result | Otherwise>;

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

/** `item` is undefined when its record is damaged: restores do not depend on it (rule 7). */
async function tidy(
  context: ItemContext,
  itemId: string,
  item: ProtectedItem | undefined,
  part: RunPart,
): Promise<Tidied> {
  const swept = item === undefined ? undefined : await part(() => sweepPoints(context, item), undefined);
  const pins = swept?.pins ?? (await part(async () => heldPins(await readCatalog(context.stores.records(itemId))), []));
  const restores = await part(() => restoresToWake(context, itemId, pins), []);
  const endedRestores = await part(() => sweepRestores(context, itemId), undefined);
  if (item === undefined || swept === undefined) return { ...NOTHING_TIDIED, restores, endedRestores };
  const { kept, pins: _pins, neededStreams, ...points } = swept;
  const trimmedJournal = await part(async () => {
    const progress = await findProgress(context.stores, itemId);
    return progress === undefined ? 0 : trimJournal(context, itemId, progress, kept);
  }, 0);
  const removedContainers = await part(() => sweepStreams(context, item, neededStreams), 0);
  return {
    points,
    keptPoints: kept.length,
    trimmedJournal,
    removedContainers,
    restores,
    endedRestores,
    more: points.more,
  };
}
