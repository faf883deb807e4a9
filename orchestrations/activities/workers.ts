import { isHeld } from "../../replication/records/progress.ts";
import { findProgress } from "../../replication/service/heartbeat.ts";
import { findReadableItem } from "../../replication/records/item-record.ts";
import { closeStream } from "../../replication/records/streams.ts";
import { CLAIM_MS, STORE_BLOB_WRITE_MS } from "../../replication/limits.ts";
import type { ItemStores } from "../../replication/ports.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import type { FlowContext } from "../../replication/operations/context.ts";

/**
 * No worker claims the disks any more. An item that never began to replicate has none, and one whose record is damaged
 * is claimed by none.
 */
export async function endReplication(context: FlowContext, { itemId }: FlowRun): Promise<void> {
  if ((await findReadableItem(context.stores, itemId)) !== undefined) await endStream(context, itemId);
}

/** Closes the stream, and wakes the worker that waits for hints, so that it need not be waited for. */
export async function endStream(context: FlowContext, itemId: string): Promise<void> {
  await closeStream(context, itemId);
  await context.queue.send({ kind: "hint", itemId }, 0);
}

/** How the last worker stands, once no other can begin. */
export type WorkerLook =
  | { readonly kind: "works" }
  /** It is done or dead, and nothing more comes from it after this time. */
  | { readonly kind: "ended"; readonly settleMs: number };

export async function lookWorkers({ stores, clock }: FlowContext, { itemId }: FlowRun): Promise<WorkerLook> {
  return lookWorker(stores, itemId, clock.now());
}

/**
 * Who lets go has settled all its requests, but for one of unknown outcome before an earlier claim, which lands soon if
 * it does. Who does not has died, or knows of a request only that it may land: its claim runs out, and then the longest
 * request may still be under way.
 */
export async function lookWorker(stores: ItemStores, itemId: string, nowMs: number): Promise<WorkerLook> {
  // A damaged record fences every worker: none can renew its claim, or say how far it has come.
  const progress = await findProgress(stores, itemId);
  if (progress?.holder === undefined) return { kind: "ended", settleMs: 0 };
  if (isHeld(progress, nowMs)) return { kind: "works" };
  // Of a claim from before the clock was set back nobody knows when it ends, but not later than one that begins now.
  return { kind: "ended", settleMs: Math.max(0, Math.min(progress.expiresMs - nowMs, CLAIM_MS) + STORE_BLOB_WRITE_MS) };
}
