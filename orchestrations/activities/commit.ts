import { forgetEntry, handOver, restoreOfEntry } from "../../replication/failover/ledger.ts";
import { changeLedger } from "../../replication/failover/ledger-record.ts";
import { POINT_SETTLE_MS, PRUNE_MAX_POINTS } from "../../replication/limits.ts";
import { readCatalog } from "../../replication/points/catalog.ts";
import { beginDeletion } from "../../replication/points/pins.ts";
import { finishDeletion } from "../../replication/points/prune.ts";
import { removeRestore } from "../../replication/restore/remove.ts";
import type { FlowRun } from "../flow-run.ts";
import type { FlowContext } from "./context.ts";
import { endStream, lookWorker } from "./workers.ts";

/** Nothing that the source still sends counts any more (rule 5), and no worker claims the disks. What restores left goes as well. */
export async function closeStream(context: FlowContext, { itemId }: FlowRun): Promise<void> {
  const { stores, clock } = context;
  await endStream(context, itemId);
  const { entries } = await changeLedger(stores, itemId, (ledger) => handOver(ledger, clock.now()));
  for (const entry of entries) {
    if (entry.kind !== "restored-blobs") continue;
    await removeRestore(context, itemId, restoreOfEntry(entry));
    await changeLedger(stores, itemId, (ledger) => forgetEntry(ledger, entry.id));
  }
}

/**
 * Removes recovery points, a bounded number at a time; `left` waits for its settling time, for a restore that holds it, or
 * for a worker that was in the middle when the stream was closed and may still take one.
 */
export async function removePoints(context: FlowContext, { itemId }: FlowRun): Promise<{ readonly left: number }> {
  const records = context.stores.records(itemId);
  const nowMs = context.clock.now();
  // Asked before the points are listed: afterwards no other comes.
  const worker = await lookWorker(context.stores, itemId, nowMs);
  const { points, pins } = await readCatalog(records);
  for (const [pointId, { state }] of pins) if (state === "deleting") await finishDeletion(context, itemId, pointId);
  // No late copy of the request that made a point can bring its manifest back afterwards.
  const old = points.filter(({ targetTimeMs }) => nowMs - targetTimeMs >= POINT_SETTLE_MS).slice(0, PRUNE_MAX_POINTS);
  for (const point of old) if (await beginDeletion(records, point, nowMs)) await finishDeletion(context, itemId, point.pointId);
  const left = (await readCatalog(records)).points.length;
  return { left: worker.kind === "ended" && worker.settleMs === 0 ? left : left + 1 };
}
