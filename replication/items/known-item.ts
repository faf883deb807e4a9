import { LeewardError } from "../errors.ts";
import { type ManagedItem, findManaged } from "../jobs/managed-item.ts";
import type { ItemStores } from "../ports.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { findItem, itemUnknown } from "../records/item-record.ts";
import type { ProtectedItem } from "../records/item.ts";

/** The two records of an item; at least one of the three is set. */
export interface KnownItem {
  /** `item.json`: the replication. Undefined before the disks are known, after disabling, and when it is damaged. */
  readonly item: ProtectedItem | undefined;
  /** `managed.json`: what flows manage. Undefined for an item that was protected by its disks, and when damaged. */
  readonly managed: ManagedItem | undefined;
  /** The first unreadable record of the two. */
  readonly damaged: LeewardError | undefined;
}

/** Undefined when neither record exists. A damaged record exists. */
export async function findKnownItem(stores: ItemStores, itemId: string): Promise<KnownItem | undefined> {
  let damaged: LeewardError | undefined;
  const note = (damage: LeewardError): undefined => {
    damaged ??= damage;
    return undefined;
  };
  const managed = await unlessDamaged(() => findManaged(stores, itemId), note);
  const noteItem = (damage: LeewardError): undefined => note(withWayBack(damage, managed?.plan !== undefined));
  const item = (await unlessDamaged(() => findItem(stores, itemId), noteItem))?.item;
  return managed === undefined && item === undefined && damaged === undefined ? undefined : { item, managed, damaged };
}

/** For operations on any item, however it was protected. Errors: `item-unknown`. */
export async function readKnownItem(stores: ItemStores, itemId: string): Promise<KnownItem> {
  const known = await findKnownItem(stores, itemId);
  if (known === undefined) throw itemUnknown(itemId);
  return known;
}

/** How to recover an item with a damaged record. */
function withWayBack({ code, message, facts }: LeewardError, isMachine: boolean): LeewardError {
  const operation = isMachine ? "ask for repairReplication" : "protect the same disks again";
  const hint = `Bring the record back from the account's soft delete, or ${operation}: a new stream begins, and the recovery points stay. Meanwhile they can be restored and failed over to.`;
  return new LeewardError(code, message, facts, { hint });
}
