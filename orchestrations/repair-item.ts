import { LeewardError } from "../replication/errors.ts";
import { protectByPolicy } from "../replication/items/policy-records.ts";
import { type ManagedItem, findManaged } from "../replication/jobs/managed-item.ts";
import { PROGRESS_RECORD } from "../replication/names.ts";
import type { FlowContext } from "../replication/operations/context.ts";
import { FLOW_VERSION, type FlowRun } from "../replication/operations/flow-run.ts";
import { requireRepairable } from "../replication/operations/request.ts";
import { unlessDamaged } from "../replication/records/damaged.ts";
import { findItem, itemRecord } from "../replication/records/item-record.ts";
import type { RepairRequest } from "../replication/records/item.ts";
import { operationIdOf } from "../replication/service/operations.ts";
import { noteRemade, requestRepair } from "../replication/service/repair.ts";
import { protectedDisks } from "./activities/item-disks.ts";
import { requireLedger } from "./activities/ledger-repair.ts";
import { beginInstall } from "./activities/mobility.ts";

/**
 * Repairs the replication of an item whose state allows it (`requestRepair`). If flows manage the machine, a damaged
 * `item.json` is first rebuilt from the plan, in a new stream; the points stay. The token of its service is lost then,
 * so the service is reinstalled with a new one. Repeating the request completes what is missing. Errors: those of
 * `requestRepair`, `operation-not-allowed`, `azure-resource-missing` when the machine is gone, `conflict` while Azure
 * is busy with its extension, and those of the ports.
 */
export async function repairItem(context: FlowContext, itemId: string, requestId?: string): Promise<RepairRequest> {
  const { stores, ids } = context;
  const asked = requestId ?? ids.next();
  const jobId = operationIdOf("repair", itemId, asked);
  const run: FlowRun = { version: FLOW_VERSION, itemId, jobId, flow: "repair-replication" };
  await requireRepairable(context, itemId);
  const managed = await findManaged(stores, itemId);
  const isRemade = managed !== undefined && (await remadeIfDamaged(context, run, managed));
  const repair = await (isRemade ? noteRemade : requestRepair)(context, itemId, asked);
  if (managed !== undefined) await installIfSilent(context, run);
  return repair;
}

/** False when nothing had to be done, or nothing can be done. */
async function remadeIfDamaged(context: FlowContext, run: FlowRun, managed: ManagedItem): Promise<boolean> {
  const { itemId, plan, policy, policyName } = managed;
  const found = await itemRecord(context.stores, itemId).inspect();
  if (plan === undefined || found === undefined || !("damage" in found)) return false;
  await requireLedger(context, run);
  // Only in the place of the damaged record: an item that was disabled meanwhile does not come back.
  const request = { itemId, disks: protectedDisks(plan), policy, policyName, replaces: found.etag };
  return unlessDamaged(
    () => protectByPolicy(context, request).then(() => true),
    (damage) => {
      if (damage.facts["name"] !== PROGRESS_RECORD) throw damage;
      // The repair that follows discards it.
      return false;
    },
  );
}

/** A rebuilt item has no valid token until its service has registered. */
async function installIfSilent(context: FlowContext, run: FlowRun): Promise<void> {
  const { itemId } = run;
  const item = (await findItem(context.stores, itemId))?.item;
  if (item === undefined || item.tokenHash !== undefined || item.nextTokenHash !== undefined) return;
  // A flow that began meanwhile may be removing what would be installed.
  await requireRepairable(context, itemId);
  // Without its other entries the ledger would hide from disabling what has to go.
  await requireLedger(context, run);
  const answer = await beginInstall(context, run);
  if (answer.kind !== "again") return;
  throw new LeewardError("conflict", "Azure is busy with the extension that installs the mobility service.", {
    itemId,
  });
}
