import { RESTORES_MAX_COUNT, RESTORE_KEPT_MS } from "../limits.ts";
import { RESTORES_PREFIX } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import { isFinished, lookAtRestore } from "../restore/record.ts";
import { removeRestore } from "../restore/remove.ts";

export interface RestoreSweep {
  /** Restores whose record and blobs are gone now. */
  readonly removed: number;
  /** Ids of those with an unreadable record: they can only be deleted. */
  readonly damaged: readonly string[];
}

/**
 * Ends expired restores, and finishes those that are being removed. Bounded: those beyond RESTORES_MAX_COUNT follow
 * when earlier ones are gone.
 */
export async function sweepRestores(context: ItemContext, itemId: string): Promise<RestoreSweep> {
  const records = context.stores.records(itemId);
  const damaged: string[] = [];
  let removed = 0;
  for (const { name } of await records.list(RESTORES_PREFIX, RESTORES_MAX_COUNT)) {
    const restoreId = /^restores\/([0-9a-f]{32})\.json$/.exec(name)?.[1] ?? "";
    const stored = await lookAtRestore(records, restoreId);
    if (stored === "damaged") damaged.push(restoreId);
    if (stored === undefined || stored === "damaged") continue;
    const { restore } = stored;
    const isOver = isFinished(restore) && context.clock.now() - restore.updatedMs > RESTORE_KEPT_MS;
    if ((isOver || restore.state === "Removing") && (await removeRestore(context, itemId, restoreId)).gone)
      removed += 1;
  }
  return { removed, damaged };
}
