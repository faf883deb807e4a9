import { hasCode } from "../../replication/errors.ts";
import { type FlowContext, managedOf, managementOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { addMapping } from "../../replication/planning/mapping-records.ts";
import { readInventory } from "../../replication/resources/read-inventory.ts";
import { planOf } from "./resources.ts";

/**
 * Maps the VM's network to that of its plan, and back, as Site Recovery does for the first VM of a network, so that
 * later VMs follow. This is a convenience: a mapping that the operator has changed meanwhile, or a table that is full
 * or damaged, prevents no VM from being protected.
 */
export async function rememberNetwork(context: FlowContext, run: FlowRun): Promise<void> {
  const { network } = await planOf(context, run);
  if (!network.mapBothWays) return;
  const { sourceVmId } = await managedOf(context, run.itemId);
  const inventory = await readInventory(managementOf(context).resourceManager, sourceVmId);
  if (inventory.kind === "refused") return;
  const { source } = inventory;
  const mapping = {
    sourceNetworkId: source.network.id,
    sourceRegion: source.region,
    targetNetworkId: network.id,
    targetRegion: network.region,
  };
  try {
    await addMapping(context.control, mapping);
  } catch (error) {
    if (!hasCode(error, "operation-not-allowed", "invalid-request", "record-corrupt")) throw error;
  }
}
