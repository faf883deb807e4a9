import { forgetEntry, handOver, restoreOfEntry } from "../../replication/failover/ledger.ts";
import { changeLedger } from "../../replication/failover/ledger-record.ts";
import { requireProgress } from "../../replication/items/heartbeat.ts";
import { changeItem } from "../../replication/items/item-record.ts";
import { POINT_SETTLE_MS, PRUNE_MAX_POINTS } from "../../replication/limits.ts";
import { readCatalog } from "../../replication/points/catalog.ts";
import { beginDeletion } from "../../replication/points/pins.ts";
import { finishDeletion } from "../../replication/points/prune.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { removeRestore } from "../../replication/restore/remove.ts";
import type { FlowRun } from "../flow-run.ts";
import type { FlowContext } from "./context.ts";

/** Announces a stream that nobody opens: what the source still sends belongs to a closed one (rule 5), and no worker claims the disks any more. */
export async function closeStream(context: FlowContext, { itemId }: FlowRun): Promise<void> {
  const { stores, clock } = context;
  await announceClosed(stores, itemId);
  const { entries } = await changeLedger(stores, itemId, (ledger) => handOver(ledger, clock.now()));
  for (const entry of entries) {
    if (entry.kind !== "restored-blobs") continue;
    await removeRestore(context, itemId, restoreOfEntry(entry));
    await changeLedger(stores, itemId, (ledger) => forgetEntry(ledger, entry.id));
  }
}

async function announceClosed(stores: ItemStores, itemId: string): Promise<void> {
  const { stream } = await requireProgress(stores, itemId);
  await changeItem(stores, itemId, (item) => (item.stream > stream ? item : { ...item, stream: stream + 1 }));
}

/** Removes recovery points, a bounded number at a time; `left` waits for its settling time, or for a restore that holds it. */
export async function removePoints(context: FlowContext, { itemId }: FlowRun): Promise<{ readonly left: number }> {
  const records = context.stores.records(itemId);
  const nowMs = context.clock.now();
  const { points, pins } = await readCatalog(records);
  for (const [pointId, { state }] of pins) if (state === "deleting") await finishDeletion(context, itemId, pointId);
  // No late copy of the request that made a point can bring its manifest back afterwards.
  const old = points.filter(({ targetTimeMs }) => nowMs - targetTimeMs >= POINT_SETTLE_MS).slice(0, PRUNE_MAX_POINTS);
  for (const point of old) if (await beginDeletion(records, point, nowMs)) await finishDeletion(context, itemId, point.pointId);
  return { left: (await readCatalog(records)).points.length };
}
