import type { TargetFacts } from "../planning/facts.ts";
import { regionName } from "../planning/name-rules.ts";
import { readSkus } from "./read-inventory.ts";
import type { ResourceManager } from "./resource-manager.ts";
import { type KnownFacts, targetFactsOf } from "./target-facts.ts";

/** Reads the target subscription: ten listings, in parallel. Errors: those of ResourceManager. */
export async function readTargetFacts(
  resourceManager: ResourceManager,
  subscriptionId: string,
  known: KnownFacts,
): Promise<TargetFacts> {
  const region = regionName(known.targetRegion);
  const list = (path: string) => resourceManager.list(`/subscriptions/${subscriptionId}/${path}`);
  const [
    resourceGroups,
    networks,
    nics,
    availabilitySets,
    storageAccounts,
    disks,
    machines,
    computeUsages,
    networkUsages,
    skus,
  ] = await Promise.all([
    list("resourceGroups"),
    list("providers/Microsoft.Network/virtualNetworks"),
    list("providers/Microsoft.Network/networkInterfaces"),
    list("providers/Microsoft.Compute/availabilitySets"),
    list("providers/Microsoft.Storage/storageAccounts"),
    list("providers/Microsoft.Compute/disks"),
    list("providers/Microsoft.Compute/virtualMachines"),
    list(`providers/Microsoft.Compute/locations/${region}/usages`),
    list(`providers/Microsoft.Network/locations/${region}/usages`),
    readSkus(resourceManager, subscriptionId, region),
  ]);
  return targetFactsOf(
    {
      resourceGroups,
      networks,
      nics,
      availabilitySets,
      storageAccounts,
      disks,
      machines,
      skus,
      computeUsages,
      networkUsages,
    },
    known,
  );
}
