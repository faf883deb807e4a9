import { findProgress } from "../../replication/items/heartbeat.ts";
import { findReadableItem } from "../../replication/items/item-record.ts";
import { closeStream } from "../../replication/items/streams.ts";
import { POINT_SETTLE_MS } from "../../replication/limits.ts";
import type { ItemStores } from "../../replication/ports.ts";
import type { FlowRun } from "../flow-run.ts";
import type { FlowContext } from "./context.ts";

/** No worker claims the disks any more. An item that never began to replicate has none, and one whose record is damaged is claimed by none. */
export async function endReplication(context: FlowContext, { itemId }: FlowRun): Promise<void> {
  if ((await findReadableItem(context.stores, itemId)) !== undefined) await closeStream(context, itemId);
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
  // A damaged record fences every worker: none can renew its claim, or say how far it has come.
  const progress = await findProgress(stores, itemId);
  return progress?.holder === undefined || nowMs - progress.expiresMs >= POINT_SETTLE_MS;
}
