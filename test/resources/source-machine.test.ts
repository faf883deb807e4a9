import { describe, expect, it } from "vitest";
import { readInventory } from "../../replication/resources/read-inventory.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import { sizesOf, zonesOf } from "../../replication/resources/sizes.ts";
import { type SourceResources, sourceMachineOf } from "../../replication/resources/source-machine.ts";
import { memoryResourceManager } from "../memory/memory-resource-manager.ts";
import { machine, size, SOURCE_GROUP } from "../planning/samples.ts";
import { disks, network, nic, sku, vm, withProperties } from "./samples.ts";

const skus = [sku("Standard_D4s_v5"), sku("Standard_D8s_v5", { capabilities: { vCPUs: "8" } })];
/** As planning's own samples have it, without what belongs to a target. */
const { restricted: _restricted, zones: _zones, ...vmSize } = size("Standard_D4s_v5");
const planned = () => machine({ size: vmSize });
const resources = (change: Partial<SourceResources> = {}): SourceResources => ({
  machine: vm,
  disks,
  nics: [nic],
  network,
  availabilitySet: undefined,
  sizes: sizesOf(skus, "West Europe"),
  ...change,
});
const read = (change: Partial<SourceResources> = {}) => {
  const decision = sourceMachineOf(resources(change));
  if (decision.kind === "refused") throw new Error(JSON.stringify(decision.refusals));
  return decision.source;
};
const refused = (change: Partial<SourceResources>): readonly string[] => {
  const decision = sourceMachineOf(resources(change));
  return decision.kind === "refused" ? decision.refusals.map(({ code, message }) => `${code}: ${message}`) : [];
};

describe("reading a source machine from Azure's answers", () => {
  it("finds everything that planning takes, in whatever letters Azure writes ids", () => {
    expect(read()).toEqual(planned());
  });

  it("knows availability sets, zones, trusted launch and licences", () => {
    const set = {
      id: `${SOURCE_GROUP}/providers/Microsoft.Compute/availabilitySets/web`,
      name: "web",
      properties: { platformFaultDomainCount: 3, platformUpdateDomainCount: 7 },
    };
    const inSet = withProperties(vm, { availabilitySet: { id: set.id.toUpperCase() } });
    expect(read({ machine: inSet, availabilitySet: set }).availability).toEqual({
      kind: "availability-set",
      id: set.id,
      name: "web",
      faultDomains: 3,
      updateDomains: 7,
    });
    expect(read({ machine: { ...vm, zones: ["2"] } }).availability).toEqual({ kind: "zone", zone: "2" });
    const securityProfile = {
      securityType: "TrustedLaunch",
      uefiSettings: { secureBootEnabled: true, vTpmEnabled: true },
    };
    const trusted = read({ machine: withProperties(vm, { securityProfile, licenseType: "RHEL_BYOS" }) });
    expect(trusted).toMatchObject({
      security: { type: "TrustedLaunch", secureBoot: true, vTpm: true },
      licenseType: "RHEL_BYOS",
    });
  });

  it("tells everything that is wrong at once", () => {
    const unmanaged = {
      osType: "Linux",
      name: "old",
      vhd: { uri: "https://account.blob.core.windows.net/vhds/old.vhd" },
    };
    const machine = withProperties(vm, {
      storageProfile: { osDisk: unmanaged, dataDisks: [{ lun: 1, name: "gone", managedDisk: { id: "/x/gone" } }] },
    });
    expect(refused({ machine, nics: [], network: undefined, sizes: [] })).toEqual([
      expect.stringMatching(/^disk-kind-unsupported: The disk is not managed/),
      expect.stringMatching(/^inventory-invalid: The disk \/x\/gone is missing/),
      expect.stringMatching(/^inventory-invalid: The NIC .*web-1-nic is missing/),
      expect.stringMatching(/^inventory-invalid: The region does not list the VM's size "standard_d4s_v5"/),
      expect.stringMatching(/^inventory-invalid: The VM's virtual network is missing/),
    ]);
  });

  it("refuses NICs in two networks", () => {
    const other = JSON.parse(
      JSON.stringify(nic).replaceAll("web-1-nic", "web-1-nic2").replaceAll("/hub/", "/spoke/"),
    ) as ResourceJson;
    const networkInterfaces = [{ id: nic["id"], properties: { primary: true } }, { id: other["id"] }];
    const machine = withProperties(vm, { networkProfile: { networkInterfaces } });
    expect(refused({ machine, nics: [nic, other] })).toEqual([
      "inventory-invalid: The NICs of the VM stand in more than one virtual network.",
    ]);
  });
});

describe("sizes from Azure's list of SKUs", () => {
  it("a size that is restricted in the region, or in a zone, says so", () => {
    const inRegion = { type: "Location", values: ["westeurope"], reasonCode: "NotAvailableForSubscription" };
    const inZone = {
      type: "Zone",
      values: ["westeurope"],
      restrictionInfo: { locations: ["westeurope"], zones: ["1"] },
    };
    const [gone, partly] = sizesOf(
      [sku("a", { restrictions: [inRegion] }), sku("b", { restrictions: [inZone] })],
      "westeurope",
    );
    expect(gone).toMatchObject({ restricted: true });
    expect(partly).toMatchObject({ restricted: false, zones: ["2", "3"] });
    expect(zonesOf(partly === undefined ? [] : [partly])).toEqual(["2", "3"]);
  });

  it("what a size lacks is read as lacking, and other regions are left out", () => {
    const capabilities = {
      PremiumIO: "False",
      HyperVGenerations: "V2",
      TrustedLaunchDisabled: "True",
      MemoryGB: "0.5",
      vCPUs: "8",
      vCPUsAvailable: "2",
      CpuArchitectureType: "Arm64",
      DiskControllerTypes: "NVMe",
    };
    const sizes = sizesOf([sku("a", { capabilities }), sku("b", { location: "northeurope" })], "westeurope");
    expect(sizes).toHaveLength(1);
    expect(sizes[0]).toMatchObject({
      premiumStorage: false,
      generations: ["V2"],
      trustedLaunch: false,
      memoryMib: 512,
      cores: 8,
      usableCores: 2,
      architecture: "Arm64",
      diskControllers: ["NVMe"],
    });
  });

  it("what a size does not name is what all older sizes are: x64 with SCSI, and all its cores can be used", () => {
    const [older] = sizesOf([sku("a", { capabilities: { vCPUs: "4" } })], "westeurope");
    expect(older).toMatchObject({ cores: 4, usableCores: 4, architecture: "x64", diskControllers: ["SCSI"] });
    const both = { capabilities: { DiskControllerTypes: "SCSI, NVMe" } };
    expect(sizesOf([sku("b", both)], "westeurope")[0]?.diskControllers).toEqual(["SCSI", "NVMe"]);
  });
});

describe("readInventory", () => {
  const world = () => {
    const resourceManager = memoryResourceManager();
    for (const resource of [vm, ...disks, nic, network]) resourceManager.seed(String(resource["id"]), resource);
    resourceManager.seedList("/subscriptions/s1/providers/Microsoft.Compute/skus", skus);
    return resourceManager;
  };

  it("reads the machine and what it stands on, each once", async () => {
    const resourceManager = world();
    expect(await readInventory(resourceManager, planned().id)).toEqual({ kind: "read", source: planned() });
    expect(resourceManager.requests).toHaveLength(6);
  });

  it("refuses what is no machine, and asks nobody for it", async () => {
    const resourceManager = world();
    expect(
      await readInventory(resourceManager, `${SOURCE_GROUP}/providers/Microsoft.Compute/disks/web-1-os`),
    ).toMatchObject({
      kind: "refused",
    });
    expect(resourceManager.requests).toEqual([]);
    expect(await readInventory(resourceManager, `${planned().id}-gone`)).toMatchObject({ kind: "refused" });
  });

  it("an outage is an error, not a machine without disks", async () => {
    const resourceManager = world();
    resourceManager.fail({ on: "read", id: "web-1-data", times: 1, with: { kind: "unavailable" } });
    await expect(readInventory(resourceManager, planned().id)).rejects.toMatchObject({ code: "azure-unavailable" });
  });
});
