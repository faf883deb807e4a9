import { CLAIM_MS, STORE_BLOB_WRITE_MS } from "../../replication/limits.ts";
import type { FlowContext } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { findReadableItem } from "../../replication/records/item-record.ts";
import { isHeld } from "../../replication/records/progress.ts";
import { closeStream } from "../../replication/records/streams.ts";
import { findProgress } from "../../replication/service/heartbeat.ts";
import { lastStreamOfRun } from "./last-stream.ts";

/**
 * Stops workers from claiming the disks. An item that never began to replicate has none, and a damaged record stops
 * every claim.
 */
export async function endReplication(context: FlowContext, run: FlowRun): Promise<void> {
  if ((await findReadableItem(context.stores, run.itemId)) !== undefined) await endStream(context, run);
}

/** Closes the stream, and wakes the worker that waits for hints, so that it ends at once. */
export async function endStream(context: FlowContext, run: FlowRun): Promise<void> {
  const { itemId } = run;
  await closeStream(context, itemId, await lastStreamOfRun(context.stores, run));
  await context.queue.send({ kind: "hint", itemId }, 0);
}

/** The state of the last worker, once no other can begin. */
export type WorkerLook =
  | { readonly kind: "works" }
  /** It is done or dead, and none of its requests lands after this time. */
  | { readonly kind: "ended"; readonly settleMs: number };

export async function lookWorkers({ stores, clock }: FlowContext, { itemId }: FlowRun): Promise<WorkerLook> {
  return lookWorker(stores, itemId, clock.now());
}

/**
 * A worker that releases its claim has settled all its requests, except one of unknown outcome from before an earlier
 * claim: it lands soon if at all. A worker that does not has died, or has a request that may still land: its claim
 * expires, and then the longest request may still be under way.
 */
export async function lookWorker(stores: ItemStores, itemId: string, nowMs: number): Promise<WorkerLook> {
  // A damaged record fences every worker: none can renew its claim or report its progress.
  const progress = await findProgress(stores, itemId);
  if (progress?.holder === undefined) return { kind: "ended", settleMs: 0 };
  if (isHeld(progress, nowMs)) return { kind: "works" };
  // The end of a claim from before the clock was set back is unknown, but no later than that of a claim taken now.
  return { kind: "ended", settleMs: Math.max(0, Math.min(progress.expiresMs - nowMs, CLAIM_MS) + STORE_BLOB_WRITE_MS) };
}
