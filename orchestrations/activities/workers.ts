import { readProgress } from "../../replication/apply/progress.ts";
import { findItem } from "../../replication/items/item-record.ts";
import { closeStream } from "../../replication/items/streams.ts";
import { POINT_SETTLE_MS } from "../../replication/limits.ts";
import type { ItemStores } from "../../replication/ports.ts";
import type { FlowRun } from "../flow-run.ts";
import type { FlowContext } from "./context.ts";

/** No worker claims the disks any more. An item that never began to replicate has none. */
export async function endReplication(context: FlowContext, { itemId }: FlowRun): Promise<void> {
  if ((await findItem(context.stores, itemId)) !== undefined) await closeStream(context, itemId);
}

/** Whether the last worker is done, once no other can begin. */
export async function lookWorkers({ stores, clock }: FlowContext, { itemId }: FlowRun): Promise<{ readonly atRest: boolean }> {
  return { atRest: await isAtRest(stores, itemId, clock.now()) };
}

/**
 * True when nothing more comes from any worker of an item whose stream is closed. Who lets go has settled all its requests;
 * who does not has died, or knows of a request no more than that it may land: its claim runs out, and what it sent settles.
 */
export async function isAtRest(stores: ItemStores, itemId: string, nowMs: number): Promise<boolean> {
  const stored = await readProgress(stores.records(itemId));
  return stored === undefined || stored.progress.holder === undefined || nowMs - stored.progress.expiresMs >= POINT_SETTLE_MS;
}
