import { LeewardError } from "../errors.ts";
import { isItemId } from "../names.ts";
import type { PlanOptions } from "../planning/options.ts";
import type { TargetPlan } from "../planning/plan.ts";
import type { PointRequest } from "../points/choose-point.ts";
import type { ItemStores } from "../ports.ts";
import type { ReplicationPolicy } from "../records/item.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import type { Situation } from "../states/decide.ts";
import type { Flow } from "../states/states.ts";

/** The request of a failover. */
export interface FailoverRequest {
  readonly point: PointRequest;
  /** The source is shut down first; the failover continues if that fails. */
  readonly shutDownSource: boolean;
}

/** The running flow, with everything needed to start it again. */
export interface RunningFlow {
  readonly jobId: string;
  readonly flow: Flow;
  /** The job that this one takes over from. */
  readonly endsJobId: string | undefined;
  readonly failover: FailoverRequest | undefined;
  /** The situation before the request: the flow publishes the change from it. */
  readonly from: Situation;
}

/**
 * `managed.json`: an item whose resources Leeward makes. It exists before `item.json`, which begins with the disks of
 * the VM, and after it: so replication knows nothing of flows, and an older item has no such record. Changed by
 * compare-and-set only.
 */
export interface ManagedItem {
  readonly version: 1;
  readonly itemId: string;
  readonly situation: Situation;
  /** Undefined when no job runs. */
  readonly running: RunningFlow | undefined;
  readonly sourceVmId: string;
  readonly options: PlanOptions;
  readonly policy: ReplicationPolicy | undefined;
  /** Instead: the stored policy that the item follows. */
  readonly policyName?: string | undefined;
  /** Everything that exists, or will exist, in the target region; undefined until the flow has planned. */
  readonly plan: TargetPlan | undefined;
  /** How often reports of replication have changed the state: distinguishes two equal changes. Undefined: never. */
  readonly reports?: number | undefined;
}

function managedRecord(stores: ItemStores, itemId: string): RecordAt<ManagedItem> {
  return recordAt<ManagedItem>(stores.management(itemId), {
    name: "managed.json",
    version: 1,
    owner: { itemId },
    missing: () => notManaged(itemId),
  });
}

/** Undefined for an item that was protected by its disks only. Errors: `record-corrupt`. */
export async function findManaged(stores: ItemStores, itemId: string): Promise<ManagedItem | undefined> {
  return isItemId(itemId) ? (await managedRecord(stores, itemId).find())?.body : undefined;
}

/** Errors: `item-unknown`, `record-corrupt`. */
export async function readManaged(stores: ItemStores, itemId: string): Promise<ManagedItem> {
  const found = await findManaged(stores, itemId);
  if (found === undefined) throw notManaged(itemId);
  return found;
}

/** Errors: those that `change` throws, `item-unknown`, `record-corrupt`, `conflict`. */
export function changeManaged(
  stores: ItemStores,
  itemId: string,
  change: (item: ManagedItem) => ManagedItem,
): Promise<ManagedItem> {
  return managedRecord(stores, itemId).change(change);
}

/** The current record, made from `first` when there is none. Errors: `record-corrupt`, `conflict`. */
export function ensureManaged(stores: ItemStores, first: ManagedItem): Promise<ManagedItem> {
  return managedRecord(stores, first.itemId).upsert((found) => found ?? first);
}

/** Removes a damaged record, so that it can be rebuilt; a readable one stays. True when it was damaged. */
export async function removeDamagedManaged(stores: ItemStores, itemId: string): Promise<boolean> {
  const record = managedRecord(stores, itemId);
  const found = await record.inspect();
  if (found === undefined || !("damage" in found)) return false;
  await record.remove(found.etag);
  return true;
}

function notManaged(itemId: string): LeewardError {
  return new LeewardError(
    "item-unknown",
    `Leeward does not manage a virtual machine as "${itemId}".`,
    { itemId },
    {
      hint: "Items that were protected by their disks have no machine to fail over: restore a recovery point, or protect the VM by its id.",
    },
  );
}
