import type { FlowContext } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { findReadableItem } from "../../replication/records/item-record.ts";
import { changeLedger } from "../../replication/resources/ledger-record.ts";
import { forgetEntry, handOver, restoreOfEntry } from "../../replication/resources/ledger.ts";
import { removeRestore } from "../../replication/restore/remove.ts";
import { findProgress } from "../../replication/service/heartbeat.ts";
import { removeAllPoints } from "../../replication/sweep/remove-all-points.ts";
import { endStream, lookWorker } from "./workers.ts";

/**
 * Ignores all that the source still sends (rule 5), stops workers from claiming the disks, and removes what restores
 * left.
 */
export async function closeStream(context: FlowContext, run: FlowRun): Promise<void> {
  const { stores, clock } = context;
  const { itemId } = run;
  await endStream(context, run);
  const { entries } = await changeLedger(stores, itemId, (ledger) => handOver(ledger, clock.now()));
  for (const entry of entries) {
    if (entry.kind !== "restored-blobs") continue;
    await removeRestore(context, itemId, restoreOfEntry(entry));
    await changeLedger(stores, itemId, (ledger) => forgetEntry(ledger, entry.id));
  }
}

/**
 * Removes recovery points, a bounded number at a time. `left` counts those that wait for their settling time, for a
 * restore that holds them, or for a worker that was busy when the stream closed and may still take one.
 */
export async function removePoints(context: FlowContext, { itemId }: FlowRun): Promise<{ readonly left: number }> {
  // Asked before points are listed: no others come later.
  const worker = await lookWorker(context.stores, itemId, context.clock.now());
  const isEnded = worker.kind === "ended" && worker.settleMs === 0;
  if (isEnded) await fenceSleepers(context, itemId);
  const left = await removeAllPoints(context, itemId);
  return { left: isEnded ? left : left + 1 };
}

/**
 * A worker that slept past the end of its claim snapshots only disks of its own generation, and no other worker claims
 * the disks of a closed stream.
 */
async function fenceSleepers({ stores }: FlowContext, itemId: string): Promise<void> {
  const [item, progress] = [await findReadableItem(stores, itemId), await findProgress(stores, itemId)];
  if (item === undefined || progress === undefined) return;
  for (const { id: diskId } of item.disks) {
    const disk = { itemId, stream: progress.stream, diskId };
    if ((await stores.disks.properties(disk)) !== undefined)
      await stores.disks.raiseSequenceNumber(disk, progress.generation + 1);
  }
}
