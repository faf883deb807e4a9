import { LeewardError } from "../../replication/errors.ts";
import { protectByPolicy } from "../../replication/items/policy-records.ts";
import { newRegistrationToken } from "../../replication/items/protect.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import { AZURE_BUSY_MS } from "../../replication/limits.ts";
import { type FlowContext, managementOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { readItem } from "../../replication/records/item-record.ts";
import { textOf } from "../../replication/resources/json.ts";
import { changeLedger } from "../../replication/resources/ledger-record.ts";
import { cacheEntryId, intend, markCreated, noteAnswered, noteSent } from "../../replication/resources/ledger.ts";
import { readHeartbeat, requireProgress } from "../../replication/service/heartbeat.ts";
import { speaksOf } from "../../replication/service/repair-report.ts";
import { extensionId } from "./extension.ts";
import { installSettings } from "./install-script.ts";
import { requireInstallable } from "./installable.ts";
import { itemDisks, protectedDisks } from "./item-disks.ts";
import { type StepAnswer, planOf, stepAnswer } from "./resources.ts";

/** Containers, empty target disks, `item.json`. The token is not needed: each installation makes its own. */
export async function protect(context: FlowContext, run: FlowRun): Promise<void> {
  const { policy, policyName } = await readManaged(context.stores, run.itemId);
  // What the source will upload is removed with the item, so the ledger records it first.
  const cacheData = { id: cacheEntryId(run.itemId), kind: "cache-data", role: "replication" } as const;
  await changeLedger(context.stores, run.itemId, (ledger) =>
    intend(ledger, [cacheData], run.jobId, context.clock.now()),
  );
  const disks = protectedDisks(await planOf(context, run));
  await protectByPolicy(context, { itemId: run.itemId, disks, policy, policyName });
  await changeLedger(context.stores, run.itemId, (ledger) => markCreated(ledger, cacheData.id, context.clock.now()));
}

/** Begins to install the service (docs/local-machines.md). The token is made and used only here (rule 8). */
export async function beginInstall(context: FlowContext, run: FlowRun): Promise<StepAnswer> {
  const { resourceManager } = managementOf(context);
  const { apiUrl, installScriptUrl } = requireInstallable(context);
  const { stores } = context;
  const { sourceVmId } = await readManaged(stores, run.itemId);
  const id = extensionId(sourceVmId);
  const resource = { id, kind: "mobility-extension", role: "replication" } as const;
  const [machine, extension] = [await resourceManager.read(sourceVmId), await resourceManager.read(id)];
  if (machine === undefined)
    throw new LeewardError("azure-resource-missing", `The virtual machine ${sourceVmId} is gone.`);
  await changeLedger(stores, run.itemId, (ledger) => intend(ledger, [resource], run.jobId, context.clock.now()));
  const { item } = await readItem(stores, run.itemId);
  const state = textOf(extension, "properties", "provisioningState")?.toLowerCase();
  // Under way, perhaps for us: a new token would revoke the one being installed.
  if (state !== undefined && !["succeeded", "failed", "canceled"].includes(state)) {
    return { kind: "again", delayMs: AZURE_BUSY_MS, failed: undefined };
  }
  if (state === "succeeded" && item.tokenHash !== undefined) return installedAnswer(context, run, id);
  const settings = {
    itemId: run.itemId,
    apiUrl,
    registrationToken: await context.tickets.issue(run.itemId, await newRegistrationToken(context, run.itemId)),
    disks: itemDisks(await planOf(context, run)).map(({ id: diskId, lun }) =>
      lun === undefined ? { id: diskId } : { id: diskId, lun },
    ),
  };
  const body = {
    location: textOf(machine, "location") ?? "",
    properties: {
      publisher: "Microsoft.Azure.Extensions",
      type: "CustomScript",
      typeHandlerVersion: "2.1",
      autoUpgradeMinorVersion: true,
      protectedSettings: installSettings(installScriptUrl, settings),
    },
  };
  await changeLedger(stores, run.itemId, (ledger) => noteSent(ledger, [id]));
  const begun = await resourceManager.begin({ kind: "put", id, body });
  await changeLedger(stores, run.itemId, (ledger) => noteAnswered(ledger, [id]));
  return begun.kind === "done" ? installedAnswer(context, run, id) : stepAnswer(begun);
}

export async function lookInstall(
  context: FlowContext,
  run: FlowRun,
  { operation }: { readonly operation: string },
): Promise<StepAnswer> {
  const looked = await managementOf(context).resourceManager.poll(operation);
  if (looked.kind !== "done") return stepAnswer(looked);
  const { sourceVmId } = await readManaged(context.stores, run.itemId);
  return installedAnswer(context, run, extensionId(sourceVmId));
}

async function installedAnswer({ stores, clock }: FlowContext, { itemId }: FlowRun, id: string): Promise<StepAnswer> {
  await changeLedger(stores, itemId, (ledger) => markCreated(ledger, id, clock.now()));
  return { kind: "done" };
}

/**
 * How far the service has come: it registers, then reports the stream that was opened for it. Reports of an earlier
 * stream do not count.
 */
export async function lookMobility(
  { stores }: FlowContext,
  { itemId }: FlowRun,
): Promise<{ readonly registered: boolean; readonly seeding: boolean }> {
  const { item } = await readItem(stores, itemId);
  const heartbeat = await readHeartbeat(stores, itemId);
  const { applied } = await requireProgress(stores, itemId);
  const speaks = heartbeat !== undefined && speaksOf(heartbeat, item);
  return {
    registered: item.tokenHash !== undefined,
    seeding: speaks || (applied.stream === item.stream && applied.epoch > 0),
  };
}
