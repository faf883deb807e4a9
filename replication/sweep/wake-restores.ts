import { RESTORE_STALE_MS } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import { type PointPin, unpinPoint } from "../points/pins.ts";
import { isFinished, lookAtRestore, restoreOfPin } from "../restore/record.ts";

/**
 * The restores that need a new message: unfinished ones that have been idle for a while, and finished ones that still
 * hold their point. Every restore holds a pin until its last step, so that no listing of restores is needed. Removes
 * pins of restores that were never recorded.
 */
export async function restoresToWake(
  context: ItemContext,
  itemId: string,
  held: readonly { readonly pointId: string; readonly pin: PointPin }[],
): Promise<readonly string[]> {
  const records = context.stores.records(itemId);
  const nowMs = context.clock.now();
  const wake: string[] = [];
  for (const { pointId, pin } of held) {
    const restoreId = restoreOfPin(pin.pinId);
    if (restoreId === undefined) continue;
    const stored = await lookAtRestore(records, restoreId);
    // Its progress is unknown, so it keeps its point until it is deleted.
    if (stored === "damaged") continue;
    if (stored === undefined) {
      if (nowMs - pin.sinceMs > RESTORE_STALE_MS) await unpinPoint(records, pointId, pin.pinId);
    } else if (isFinished(stored.restore) || nowMs - stored.restore.updatedMs > RESTORE_STALE_MS) {
      wake.push(restoreId);
    }
  }
  return wake;
}
