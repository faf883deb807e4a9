import { LeewardError } from "../replication/errors.ts";
import { protectByPolicy } from "../replication/items/policy-records.ts";
import { type ManagedItem, findManaged } from "../replication/jobs/managed-item.ts";
import type { FlowContext } from "../replication/operations/context.ts";
import { FLOW_VERSION } from "../replication/operations/flow-run.ts";
import { requireRepairable } from "../replication/operations/request.ts";
import { nothing, unlessDamaged } from "../replication/records/damaged.ts";
import type { RepairRequest } from "../replication/records/item.ts";
import { findItem } from "../replication/records/item-record.ts";
import { noteRemade, requestRepair } from "../replication/service/repair.ts";
import { protectedDisks } from "./activities/item-disks.ts";
import { beginInstall } from "./activities/mobility.ts";

/**
 * Repairs the replication of an item whose state allows it (`requestRepair`). If flows manage the machine, a damaged
 * `item.json` is first rebuilt from the plan, in a new stream; the points stay. The token of its service is lost then,
 * so the service is reinstalled with a new one. Repeating the request completes what is missing. Errors: those of
 * `requestRepair`, `operation-not-allowed`, `azure-resource-missing` when the machine is gone, `conflict` while Azure
 * is busy with its extension, and those of the ports.
 */
export async function repairItem(context: FlowContext, itemId: string, requestId?: string): Promise<RepairRequest> {
  const { stores } = context;
  await requireRepairable(context, itemId);
  const managed = await findManaged(stores, itemId);
  const isRemade = managed !== undefined && (await remadeIfDamaged(context, managed));
  const repair = await (isRemade ? noteRemade : requestRepair)(context, itemId, requestId);
  if (managed !== undefined) await installIfSilent(context, itemId, repair);
  return repair;
}

/** False when nothing had to be done, or nothing can be done. */
async function remadeIfDamaged(context: FlowContext, managed: ManagedItem): Promise<boolean> {
  const { itemId, plan, policy, policyName } = managed;
  const isDamaged = await unlessDamaged(
    () => findItem(context.stores, itemId).then(() => false),
    () => true,
  );
  if (!isDamaged || plan === undefined) return false;
  // This also covers a damaged progress record: the repair that follows discards it.
  const answer = await unlessDamaged(
    () => protectByPolicy(context, { itemId, disks: protectedDisks(plan), policy, policyName }),
    nothing,
  );
  return answer !== undefined;
}

/** A rebuilt item has no valid token until its service has registered. */
async function installIfSilent(context: FlowContext, itemId: string, { id }: RepairRequest): Promise<void> {
  const item = (await findItem(context.stores, itemId))?.item;
  if (item === undefined || item.tokenHash !== undefined || item.nextTokenHash !== undefined) return;
  const answer = await beginInstall(context, { version: FLOW_VERSION, itemId, jobId: id, flow: "repair-replication" });
  if (answer.kind !== "again") return;
  throw new LeewardError("conflict", "Azure is busy with the extension that installs the mobility service.", {
    itemId,
  });
}
