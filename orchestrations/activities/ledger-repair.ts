import { mapConcurrently, present } from "../../replication/concurrency.ts";
import { AZURE_READS_AT_ONCE } from "../../replication/limits.ts";
import { type FlowContext, managedOf, managementOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import { changeLedger, hasLedger } from "../../replication/resources/ledger-record.ts";
import {
  type Ledger,
  type LedgerEntry,
  cacheEntryId,
  emptyLedger,
  intend,
  markCreated,
} from "../../replication/resources/ledger.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import { itemOf } from "../../replication/resources/tags.ts";
import { protectionWalk } from "../../replication/resources/walk.ts";
import { extensionId } from "./extension.ts";

type Candidate = Pick<LedgerEntry, "id" | "kind" | "role">;

/**
 * Runs before anything else in a flow. A damaged ledger ends the flow, because it is unknown what may be removed. When
 * an item with a plan has no ledger, an operator who could not restore it has removed it: it is rebuilt from the plan
 * and from the tags of existing resources. Resources of an earlier plan are not found. Errors: `record-corrupt`.
 */
export async function requireLedger(context: FlowContext, run: FlowRun): Promise<void> {
  const { stores, clock } = context;
  if (await hasLedger(stores, run.itemId)) return;
  const { plan, sourceVmId } = await managedOf(context, run.itemId);
  if (plan === undefined) return;
  const ours = await mapConcurrently(AZURE_READS_AT_ONCE, plannedResources(plan, run), async (candidate) => {
    const resource = await managementOf(context).resourceManager.read(candidate.id);
    return resource !== undefined && isOurs(candidate, resource, run.itemId) ? candidate : undefined;
  });
  const found = present(ours);
  const nowMs = clock.now();
  // Resources in the source region are not looked up: the region may be gone, and removing what is absent does no harm.
  const assumed: readonly Candidate[] = [
    { id: extensionId(sourceVmId), kind: "mobility-extension", role: "replication" },
    { id: cacheEntryId(run.itemId), kind: "cache-data", role: "replication" },
  ];
  const rebuilt = found.reduce(
    (ledger, { id }) => markCreated(ledger, id, nowMs),
    intend(emptyLedger(run.itemId), [...found, ...assumed], run.jobId, nowMs),
  );
  await changeLedger(stores, run.itemId, (ledger): Ledger => (ledger.entries.length === 0 ? rebuilt : ledger));
}

/** Everything that a flow of this plan makes in the target region. */
function plannedResources(plan: TargetPlan, run: FlowRun): readonly Candidate[] {
  const role = plan.purpose === "failover" ? "failover" : "test-failover";
  return [
    ...protectionWalk(plan, run)
      .flat()
      .filter(({ action }) => action === "create"),
    ...plan.disks.map(({ disk: { id } }) => ({ id, kind: "disk" as const, role: role as Candidate["role"] })),
    ...plan.nics.map(({ id }) => ({ id, kind: "network-interface" as const, role: role as Candidate["role"] })),
    { id: plan.machine.id, kind: "virtual-machine", role },
  ];
}

function isOurs({ role }: Candidate, resource: ResourceJson, itemId: string): boolean {
  const maker = itemOf(resource);
  return maker !== undefined && (role === "shared" || maker === itemId);
}
