import { LeewardError } from "../errors.ts";
import { findManaged } from "../jobs/managed-item.ts";
import { RESTORE_COPIES_MAX_TRIES, RESTORE_SETTLE_MS } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import { unpinPoint } from "../points/pins.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { findReadableItem, requireItem } from "../records/item-record.ts";
import { type RestoreRecord, restoreIdOf, restorePinId, restoreRecord } from "./record.ts";

/**
 * Removes a restore with its blobs, and unpins its point. The record is marked first, so that no slice starts another
 * copy. It is removed last, when every request of a slice has settled and a second pass has removed late blobs: until
 * then `gone` is false and the removal must be repeated (the sweep does). A missing restore is gone. Idempotent, also
 * when slices run concurrently. Errors: `conflict`, those of the ports.
 */
export async function removeRestore(
  context: ItemContext,
  itemId: string,
  restoreId: string,
): Promise<{ readonly gone: boolean }> {
  const records = context.stores.records(itemId);
  const restore = await markRemoving(context, itemId, restoreId);
  if (restore === undefined) return { gone: true };
  for (const diskId of await diskIdsOf(context, itemId, restore)) {
    for (let attempt = 0; attempt < RESTORE_COPIES_MAX_TRIES; attempt += 1) {
      await context.stores.snapshots.removeRestored({ itemId, restoreId, diskId, attempt });
    }
  }
  if (restore === "damaged") {
    // The next sweep finds no record for its pin and removes it.
    await restoreRecord(records, restoreId).remove();
    return { gone: true };
  }
  await unpinPoint(records, restore.pointId, restorePinId(restoreId));
  if (context.clock.now() - restore.updatedMs < RESTORE_SETTLE_MS) return { gone: false };
  await restoreRecord(records, restoreId).remove();
  return { gone: true };
}

/** The same on an operator's request. Errors: `item-unknown`, `in-use` while a failover makes its machine from it. */
export async function deleteRestore(
  context: ItemContext,
  itemId: string,
  restoreId: string,
): Promise<{ readonly gone: boolean }> {
  await requireItem(context.stores, itemId);
  const job = (await findManaged(context.stores, itemId))?.situation.job;
  if (job !== undefined && restoreIdOf(itemId, job.jobId) === restoreId) {
    throw new LeewardError(
      "in-use",
      "A failover makes its machine from this restore.",
      { itemId, restoreId },
      { hint: "It goes with the failover: nothing has to be done." },
    );
  }
  return removeRestore(context, itemId, restoreId);
}

/** Undefined: there is none. The record of a restore that is already being removed is left as it is. */
async function markRemoving(
  { stores, clock }: ItemContext,
  itemId: string,
  restoreId: string,
): Promise<RestoreRecord | "damaged" | undefined> {
  const marked = (found: RestoreRecord | undefined): RestoreRecord | undefined =>
    found === undefined || found.state === "Removing" ? found : { ...found, state: "Removing", updatedMs: clock.now() };
  return unlessDamaged(
    () => restoreRecord(stores.records(itemId), restoreId).upsert(marked),
    () => "damaged" as const,
  );
}

/** A damaged record names no disks: the item's disks are used instead. */
async function diskIdsOf(
  { stores }: ItemContext,
  itemId: string,
  restore: RestoreRecord | "damaged",
): Promise<readonly string[]> {
  if (restore !== "damaged") return restore.disks.map(({ id }) => id);
  return (await findReadableItem(stores, itemId))?.disks.map(({ id }) => id) ?? [];
}
