import { LeewardError } from "../../replication/errors.ts";
import { changeJob } from "../../replication/jobs/job-record.ts";
import { noteError } from "../../replication/jobs/job.ts";
import { type ManagedItem, changeManaged, findManaged, readManaged } from "../../replication/jobs/managed-item.ts";
import { type FlowContext, managementOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { type NamedMapping, listMappings } from "../../replication/planning/mapping-records.ts";
import type { PlanOptions } from "../../replication/planning/options.ts";
import { planTarget } from "../../replication/planning/plan-target.ts";
import { PLAN_REFUSALS, type PlanRefusal, type TargetPlan } from "../../replication/planning/plan.ts";
import { allItems } from "../../replication/records/all-items.ts";
import { nothing, unlessDamaged } from "../../replication/records/damaged.ts";
import { readInventory } from "../../replication/resources/read-inventory.ts";
import { readTargetFacts } from "../../replication/resources/read-target-facts.ts";
import type { KnownFacts } from "../../replication/resources/target-facts.ts";
import { requireInstallable } from "./installable.ts";

/**
 * Plans everything in the target region and keeps the plan. Errors: `invalid-request` lists everything wrong with the
 * VM and the options.
 */
export async function planItem(context: FlowContext, run: FlowRun): Promise<void> {
  const { resourceManager, resourceGroup } = managementOf(context);
  // Checked before anything is made.
  requireInstallable(context);
  const { sourceVmId, options } = await readManaged(context.stores, run.itemId);
  const inventory = await readInventory(resourceManager, sourceVmId);
  if (inventory.kind === "refused") throw refused(inventory.refusals);
  const { source } = inventory;
  const known: KnownFacts = {
    targetRegion: options.targetRegion,
    controlResourceGroup: resourceGroup,
    mappings: await mappingsFor(context, options),
    ...reservations(await otherPlans(context, run)),
  };
  const facts = await readTargetFacts(resourceManager, options.subscriptionId ?? source.subscriptionId, known);
  const decision = planTarget({ itemId: run.itemId, purpose: "failover", source, options, facts });
  if (decision.kind === "refused") throw refused(decision.refusals);
  await changeManaged(context.stores, run.itemId, (managed) => ({ ...managed, plan: decision.plan }));
}

function refused(refusals: readonly PlanRefusal[]): LeewardError {
  const hints = [...new Set(refusals.map(({ code }) => PLAN_REFUSALS[code]))];
  return new LeewardError(
    "invalid-request",
    refusals.map(({ code, subject, message }) => `${subject}: ${message} (${code})`).join(" "),
    {},
    { hint: hints.join(" ") },
  );
}

/** Options that name the network need no mapping. Errors: `record-corrupt`. */
async function mappingsFor({ control }: FlowContext, { network }: PlanOptions): Promise<readonly NamedMapping[]> {
  return network === undefined
    ? listMappings(control)
    : ((await unlessDamaged(() => listMappings(control), nothing)) ?? []);
}

/** The job names the items whose plan cannot be read: this item may collide with their names and addresses. */
async function otherPlans({ stores, clock }: FlowContext, { itemId, jobId }: FlowRun): Promise<readonly PlannedItem[]> {
  const found: PlannedItem[] = [];
  const damaged: string[] = [];
  for await (const other of allItems(stores)) {
    if (other === itemId) continue;
    const managed = await unlessDamaged(
      () => findManaged(stores, other),
      () => {
        damaged.push(other);
        return undefined;
      },
    );
    if (isPlanned(managed)) found.push(managed);
  }
  for (const other of damaged)
    await changeJob(stores, itemId, jobId, (job) => noteError(job, unreadPlan(other), clock.now()));
  return found;
}

const unreadPlan = (itemId: string) => ({
  taskName: "CheckPrerequisites",
  code: "record-corrupt",
  message: `The record managed.json of the item "${itemId}" is damaged: what its failover will need was not kept free.`,
  hint: "Restore it from the account's soft delete, or protect that VM again; then enable protection of this one again.",
});

type PlannedItem = ManagedItem & { readonly plan: TargetPlan };

function isPlanned(managed: ManagedItem | undefined): managed is PlannedItem {
  return managed?.plan !== undefined && managed.situation.state !== "Unprotected";
}

/** What the plans of other items will need: two simultaneous failovers must not want the same name or address. */
function reservations(others: readonly PlannedItem[]): Pick<KnownFacts, "reservedNames" | "reservedAddresses"> {
  return {
    reservedNames: others.flatMap(({ itemId: owner, plan }) => [
      ...plan.disks.map(({ disk: { name, resourceGroup } }) => ({
        kind: "disk" as const,
        name,
        resourceGroup,
        itemId: owner,
      })),
      ...plan.nics.map(({ name, resourceGroup }) => ({
        kind: "network-interface" as const,
        name,
        resourceGroup,
        itemId: owner,
      })),
      {
        kind: "virtual-machine" as const,
        name: plan.machine.name,
        resourceGroup: plan.machine.resourceGroup,
        itemId: owner,
      },
    ]),
    reservedAddresses: others.flatMap(({ plan }) =>
      plan.nics.flatMap(({ address, subnetName }) =>
        address === undefined ? [] : [{ subnetId: `${plan.network.id}/subnets/${subnetName}`, address }],
      ),
    ),
  };
}
