import type { ApplyContext } from "../replication/apply/context.ts";
import { applySlice } from "../replication/apply/run.ts";
import { forEachConcurrently } from "../replication/concurrency.ts";
import type { EncodedDelta } from "../replication/delta/delta.ts";
import { protectItem } from "../replication/items/protect.ts";
import { deltaName } from "../replication/names.ts";
import type { ItemStores } from "../replication/ports.ts";
import { samePosition, type DiskDescription } from "../replication/position.ts";
import { readProgress } from "../replication/records/progress.ts";
import { type Content, NONCE } from "./trace-deltas.ts";
import type { TraceWrite } from "./trace.ts";

const NEVER_MS = 24 * 3_600_000;
const clock = { now: () => Date.now() };
const timer = {
  pause: (durationMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, durationMs)),
};

/** A new item whose recovery points are so rare that the measurement has only the first one, at the first boundary. */
export async function protect(stores: ItemStores, itemId: string, disks: readonly DiskDescription[]): Promise<void> {
  const context = { stores, clock, ids: { next: () => NONCE } };
  await protectItem(context, { itemId, disks, policy: { pointIntervalMs: NEVER_MS, retentionMs: NEVER_MS } });
}

export function workerContext(stores: ItemStores): ApplyContext {
  return { stores, clock, timer, holder: "bench", deadlineMs: Date.now() + NEVER_MS, log: () => undefined };
}

/**
 * Milliseconds from the claim of a new item until all its deltas are applied and it is released. The deltas are already
 * in the cache.
 */
export async function timeEngine(
  stores: ItemStores,
  itemId: string,
  disks: readonly DiskDescription[],
  deltas: readonly EncodedDelta[],
): Promise<number> {
  await protect(stores, itemId, disks);
  for (const { end, bytes } of deltas) await stores.cache(itemId, 1).create(deltaName(end.stream, end.epoch), bytes);
  const startedMs = performance.now();
  const outcome = await applySlice(workerContext(stores), itemId);
  const tookMs = performance.now() - startedMs;
  const applied = (await readProgress(stores.records(itemId)))?.progress.applied;
  const last = deltas.at(-1)?.end;
  if (applied === undefined || last === undefined || !samePosition(applied, last)) {
    throw new Error(`The run ended ${outcome.kind} at epoch ${applied?.epoch} of ${last?.epoch}.`);
  }
  return tookMs;
}

/** Milliseconds for one Put Page per guest write through the same adapter, checksums included, `inFlight` at a time. */
export async function timeEachWrite(
  stores: ItemStores,
  itemId: string,
  disks: readonly DiskDescription[],
  writes: readonly TraceWrite[],
  inFlight: number,
  content: Content,
): Promise<number> {
  for (const disk of disks) await stores.disks.create({ itemId, stream: 1, diskId: disk.id }, disk.sizeBytes);
  const startedMs = performance.now();
  await forEachConcurrently(inFlight, writes, async (write) => {
    await stores.disks.writePages(
      { itemId, stream: 1, diskId: disks[write.disk]?.id ?? "" },
      write.offsetBytes,
      content(write),
      0,
    );
  });
  return performance.now() - startedMs;
}
