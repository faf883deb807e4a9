import { LeewardError } from "../../replication/errors.ts";
import { ITEMS_PAGE_MAX_COUNT } from "../../replication/limits.ts";
import { type ManagedItem, changeManaged, findManaged, readManaged } from "../../replication/jobs/managed-item.ts";
import { PLAN_REFUSALS, type PlanRefusal, type TargetPlan } from "../../replication/planning/plan.ts";
import { planTarget } from "../../replication/planning/plan-target.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { listMappings } from "../../replication/networks/mapping-records.ts";
import { readInventory } from "../../replication/resources/read-inventory.ts";
import { readTargetFacts } from "../../replication/resources/read-target-facts.ts";
import type { KnownFacts } from "../../replication/resources/target-facts.ts";
import type { FlowRun } from "../flow-run.ts";
import { type FlowContext, managementOf } from "./context.ts";
import { requireInstallable } from "./installable.ts";

/** Plans everything in the target region and keeps the plan. Errors: `invalid-request` with all that is wrong with the VM and the options at once. */
export async function planItem(context: FlowContext, run: FlowRun): Promise<void> {
  const { resourceManager, resourceGroup } = managementOf(context);
  // Found out before anything is made.
  requireInstallable(context);
  const { sourceVmId, options } = await readManaged(context.stores, run.itemId);
  const inventory = await readInventory(resourceManager, sourceVmId);
  if (inventory.kind === "refused") throw refused(inventory.refusals);
  const { source } = inventory;
  const known: KnownFacts = {
    targetRegion: options.targetRegion,
    controlResourceGroup: resourceGroup,
    mappings: await listMappings(context.control),
    ...reservations(await otherPlans(context.stores, run.itemId)),
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

async function otherPlans(stores: ItemStores, itemId: string): Promise<readonly PlannedItem[]> {
  const found: PlannedItem[] = [];
  for (let after: string | undefined; ;) {
    const page = await stores.listItems(ITEMS_PAGE_MAX_COUNT, after);
    for (const other of page) {
      const managed = other === itemId ? undefined : await findManaged(stores, other);
      if (isPlanned(managed)) found.push(managed);
    }
    after = page.at(-1);
    if (page.length < ITEMS_PAGE_MAX_COUNT) return found;
  }
}

type PlannedItem = ManagedItem & { readonly plan: TargetPlan };

function isPlanned(managed: ManagedItem | undefined): managed is PlannedItem {
  return managed?.plan !== undefined && managed.situation.state !== "Unprotected";
}

/** What the plans of other items will need: two failovers at once must not want the same name or address. */
function reservations(others: readonly PlannedItem[]): Pick<KnownFacts, "reservedNames" | "reservedAddresses"> {
  return {
    reservedNames: others.flatMap(({ itemId: owner, plan }) => [
      ...plan.disks.map(({ disk: { name, resourceGroup } }) => ({ kind: "disk" as const, name, resourceGroup, itemId: owner })),
      ...plan.nics.map(({ name, resourceGroup }) => ({ kind: "network-interface" as const, name, resourceGroup, itemId: owner })),
      { kind: "virtual-machine" as const, name: plan.machine.name, resourceGroup: plan.machine.resourceGroup, itemId: owner },
    ]),
    reservedAddresses: others.flatMap(({ plan }) =>
      plan.nics.flatMap(({ address, subnetName }) =>
        address === undefined ? [] : [{ subnetId: `${plan.network.id}/subnets/${subnetName}`, address }],
      ),
    ),
  };
}
