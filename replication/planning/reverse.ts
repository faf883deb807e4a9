import type { SourceMachine } from "./inventory.ts";
import type { PlanOptions } from "./options.ts";
import type { TargetPlan } from "./plan.ts";

/**
 * The options of the opposite direction: after a failover with this plan, re-protect leads back to the machine's
 * original place, names, size and addresses, and not to a `-asr` of a `-asr`. The same function serves both directions.
 * Re-protect is not built yet, so only tests use it.
 */
export function reversedOptions(original: SourceMachine, plan: TargetPlan): PlanOptions {
  const { osDisk, dataDisks, nics, availability } = original;
  const diskOf = new Map([osDisk, ...dataDisks].map((disk) => [disk.id.toLowerCase(), disk]));
  const nicOf = new Map(nics.map((nic) => [nic.id.toLowerCase(), nic]));
  return {
    targetRegion: original.region,
    subscriptionId: original.subscriptionId,
    resourceGroup: original.resourceGroup,
    machineName: original.name,
    sizeName: original.size.name,
    network: { kind: "existing", id: original.network.id },
    availability:
      availability.kind === "availability-set" ? { kind: "availability-set", name: availability.name } : availability,
    disks: Object.fromEntries(
      plan.disks.flatMap(({ sourceId, disk }) => {
        const source = diskOf.get(sourceId.toLowerCase());
        if (source === undefined) return [];
        const encryption =
          source.diskEncryptionSetId === undefined ? {} : { diskEncryptionSetId: source.diskEncryptionSetId };
        return [[disk.id, { name: source.name, targetSku: source.sku, ...encryption }]];
      }),
    ),
    nics: Object.fromEntries(
      plan.nics.flatMap(({ sourceId, id }) => {
        const source = nicOf.get(sourceId.toLowerCase());
        const primary = source?.ipConfigurations.find(
          (configuration) => configuration.primary && configuration.version === "IPv4",
        );
        if (source === undefined || primary === undefined) return [];
        const address =
          primary.allocation === "Static" && primary.address !== undefined ? { address: primary.address } : {};
        const security =
          source.networkSecurityGroupId === undefined ? {} : { networkSecurityGroupId: source.networkSecurityGroupId };
        const publicIp = primary.publicIpId === undefined ? {} : { publicIpId: primary.publicIpId };
        const option = {
          name: source.name,
          subnetName: primary.subnetName,
          acceleratedNetworking: source.acceleratedNetworking,
        };
        return [[id, { ...option, ...address, ...security, ...publicIp }]];
      }),
    ),
  };
}
