import { mapConcurrently, present } from "../concurrency.ts";
import { AZURE_READS_AT_ONCE } from "../limits.ts";
import { regionName } from "../planning/name-rules.ts";
import { nameOf, parsePath } from "./ids.ts";
import { textOf } from "./json.ts";
import type { ResourceJson, ResourceManager } from "./resource-manager.ts";
import { sizesOf } from "./sizes.ts";
import { type InventoryDecision, networkIdOf, partsOf, sourceMachineOf } from "./source-machine.ts";

/**
 * Reads the VM and its resources: one request for each disk and NIC, and four more. What has gone meanwhile is a
 * refusal. Errors: those of ResourceManager.
 */
export async function readInventory(resourceManager: ResourceManager, machineId: string): Promise<InventoryDecision> {
  const path = parsePath(machineId);
  const machine =
    path?.type === "microsoft.compute/virtualmachines" ? await resourceManager.read(machineId) : undefined;
  if (path === undefined || machine === undefined) {
    const subject = nameOf(machineId);
    return {
      kind: "refused",
      refusals: [{ code: "inventory-invalid", subject, message: `There is no virtual machine ${machineId}.` }],
    };
  }
  const { diskIds, nicIds, availabilitySetId } = partsOf(machine);
  const [disks, nics] = [await readAll(resourceManager, diskIds), await readAll(resourceManager, nicIds)];
  const networkId = nics.map(networkIdOf).find((id) => id !== undefined);
  const region = regionName(textOf(machine, "location") ?? "");
  const [network, availabilitySet, skus] = await Promise.all([
    networkId === undefined ? undefined : resourceManager.read(networkId),
    availabilitySetId === undefined ? undefined : resourceManager.read(availabilitySetId),
    readSkus(resourceManager, path.subscriptionId, region),
  ]);
  return sourceMachineOf({ machine, disks, nics, network, availabilitySet, sizes: sizesOf(skus, region) });
}

/** The SKUs of one region. */
export function readSkus(
  resourceManager: ResourceManager,
  subscriptionId: string,
  region: string,
): Promise<readonly ResourceJson[]> {
  return resourceManager.list(
    `/subscriptions/${subscriptionId}/providers/Microsoft.Compute/skus`,
    `location eq '${regionName(region)}'`,
  );
}

/** In the order of the ids; missing ones are omitted. */
async function readAll(resourceManager: ResourceManager, ids: readonly string[]): Promise<readonly ResourceJson[]> {
  return present(await mapConcurrently(AZURE_READS_AT_ONCE, ids, (id) => resourceManager.read(id)));
}
