import { describe, expect, it } from "vitest";
import type { SourceMachine, SourceNic } from "../../replication/planning/inventory.ts";
import { planTarget } from "../../replication/planning/plan-target.ts";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import { reversedOptions } from "../../replication/planning/reverse.ts";
import { SOURCE_GROUP, dataDisk, disk, facts, input, machine, network, nic, planOf } from "./samples.ts";

const withPublicIp = (one: SourceNic): SourceNic => ({
  ...one,
  ipConfigurations: one.ipConfigurations.map((configuration) => ({ ...configuration, publicIpId: "ip-west" })),
});

const original = machine({
  osDisk: disk("web-1-os", { diskEncryptionSetId: "des-west" }),
  dataDisks: [dataDisk("web-1-data", 3)],
  availability: { kind: "availability-set", id: "set", name: "web", faultDomains: 3, updateDomains: 5 },
  nics: [
    withPublicIp(nic("web-1-nic", { networkSecurityGroupId: "nsg-west" })),
    nic("web-1-nic2", { primary: false, allocation: "Dynamic", subnetName: "db" }),
  ],
});

/** What stands in the target region after a failover with this plan. */
function failedOver(plan: TargetPlan): SourceMachine {
  const [os, ...data] = plan.disks.map((planned) => ({
    ...disk(planned.disk.name, {
      sku: planned.disk.sku,
      sizeBytes: planned.disk.sizeBytes,
      diskEncryptionSetId: planned.disk.diskEncryptionSetId,
    }),
    id: planned.disk.id,
    lun: planned.lun ?? -1,
  }));
  if (os === undefined) throw new Error("no OS disk");
  return {
    ...original,
    id: plan.machine.id,
    subscriptionId: plan.subscriptionId,
    resourceGroup: plan.machine.resourceGroup,
    region: plan.region,
    name: plan.machine.name,
    osDisk: os,
    dataDisks: data,
    availability: { kind: "none" },
    nics: plan.nics.map(({ id, name, primary, subnetName, allocation, address = "10.0.9.9" }) => ({
      ...nic(name, { primary, subnetName, allocation, address }),
      id,
    })),
    network: { ...original.network, id: plan.network.id, name: plan.network.name },
  };
}

describe("the way back", () => {
  it("leads to the names, the place and the addresses that the machine came from", () => {
    const osId = original.osDisk.id.toLowerCase();
    const there = planOf({
      source: original,
      options: { machineName: "web-dr", disks: { [osId]: { diskEncryptionSetId: "des-north" } } },
    });
    const home = network("hub", {
      id: original.network.id,
      resourceGroup: "shop",
      region: "westeurope",
      subnets: original.network.subnets.map((subnet) => ({ ...subnet, takenAddresses: [], delegated: false })),
    });
    const back = planTarget({
      ...input(),
      source: failedOver(there),
      options: reversedOptions(original, there),
      facts: facts({ resourceGroups: [{ name: "shop", region: "westeurope" }], networks: [home] }),
    });
    if (back.kind === "refused") throw new Error(JSON.stringify(back.refusals));
    expect(back.plan).toMatchObject({
      region: "westeurope",
      resourceGroup: { name: "shop", action: "reuse" },
      network: { id: original.network.id, action: "reuse" },
      availabilitySet: { name: "web" },
      disks: [
        { disk: { id: original.osDisk.id, diskEncryptionSetId: "des-west" } },
        { lun: 3, disk: { id: `${SOURCE_GROUP}/providers/Microsoft.Compute/disks/web-1-data` } },
      ],
      nics: [
        {
          name: "web-1-nic",
          address: "10.0.1.10",
          subnetName: "web",
          networkSecurityGroupId: "nsg-west",
          publicIpId: "ip-west",
        },
        { name: "web-1-nic2", allocation: "Dynamic", subnetName: "db" },
      ],
      machine: { id: original.id, name: "web-1", sizeName: "Standard_D4s_v5" },
    });
  });
});
