import { describe, expect, it } from "vitest";
import { planTarget } from "../../replication/planning/plan-target.ts";
import { PLAN_REFUSALS } from "../../replication/planning/plan.ts";
import {
  SOURCE_GROUP,
  TARGET_GROUP,
  dataDisk,
  disk,
  input,
  machine,
  network,
  nic,
  planOf,
  refusedFor,
  size,
} from "./samples.ts";

const DATA_DISK = `${SOURCE_GROUP}/providers/microsoft.compute/disks/WEB-1-data`;
const set = { kind: "availability-set", id: "a", name: "web", faultDomains: 3, updateDomains: 5 } as const;

describe("the defaults of Site Recovery", () => {
  it("everything new gets its default name", () => {
    const plan = planOf({ source: { availability: set } });
    expect(plan).toMatchObject({
      region: "northeurope",
      subscriptionId: "s1",
      resourceGroup: {
        name: "shop-asr",
        region: "northeurope",
        action: "create",
        why: "default-name",
        id: TARGET_GROUP,
      },
      network: {
        name: "hub-asr",
        resourceGroup: "shop-asr",
        action: "create",
        addressPrefixes: ["10.0.0.0/16"],
        subnets: [
          { name: "web", addressPrefix: "10.0.1.0/24" },
          { name: "db", addressPrefix: "10.0.2.0/24" },
        ],
        mapBothWays: true,
      },
      availabilitySet: { name: "web-asr", action: "create", faultDomains: 3 },
      zone: undefined,
      cacheAccount: { region: "westeurope", resourceGroup: "leeward", accountKind: "StorageV2", sku: "Standard_LRS" },
      targetAccount: { region: "northeurope", accountKind: "StorageV2" },
      disks: [
        {
          lun: undefined,
          replicaName: "web-1-os-ASRReplica",
          disk: { name: "web-1-os", sku: "Premium_LRS" },
          caching: "ReadWrite",
        },
        { lun: 0, replicaName: "web-1-data-ASRReplica", disk: { name: "web-1-data" }, caching: "None" },
      ],
      nics: [
        {
          name: "web-1-nic",
          subnetName: "web",
          whySubnet: "same-subnet-name",
          address: "10.0.1.10",
          whyAddress: "same-address",
        },
      ],
      machine: {
        name: "web-1",
        id: `${TARGET_GROUP}/providers/Microsoft.Compute/virtualMachines/web-1`,
        sizeName: "Standard_D4s_v5",
        whySize: "same-size",
        tags: { owner: "shop" },
      },
      notices: [],
    });
  });

  it("a test failover has names of its own beside it", () => {
    expect(planOf({ purpose: "test-failover" })).toMatchObject({
      disks: [{ disk: { name: "web-1-os-ASRtest" } }, { disk: { name: "web-1-data-ASRtest" } }],
      nics: [{ name: "web-1-nic-test" }],
      machine: { name: "web-1-test" },
      network: { mapBothWays: false },
      notices: [{ code: "test-in-failover-network" }],
    });
    const isolated = planOf({
      purpose: "test-failover",
      options: { network: { kind: "existing", id: network("drill").id } },
      facts: { networks: [network("drill")] },
    });
    expect(isolated.notices).toEqual([]);
  });

  it("what exists under its default name is used again", () => {
    const existing = { id: "id", resourceGroup: "shop-asr", region: "North Europe" };
    const plan = planOf({
      source: { availability: set },
      facts: {
        resourceGroups: [{ name: "Shop-ASR", region: "germanywestcentral" }],
        networks: [network("HUB-asr")],
        availabilitySets: [{ ...existing, name: "web-asr" }],
        storageAccounts: [
          { ...existing, name: "other", purpose: undefined, churn: "Normal" },
          { ...existing, name: "target1", purpose: "target", churn: "Normal" },
          { ...existing, name: "cache1", region: "West Europe", purpose: "cache", churn: "Normal" },
        ],
      },
    });
    expect(plan).toMatchObject({
      resourceGroup: { action: "reuse", why: "exists", name: "Shop-ASR", region: "germanywestcentral" },
      network: { action: "reuse", why: "exists", name: "HUB-asr", mapBothWays: true },
      availabilitySet: { action: "reuse", why: "exists" },
      cacheAccount: { action: "reuse", name: "cache1" },
      targetAccount: { action: "reuse", name: "target1" },
    });
  });

  it("an existing mapping wins over the default name", () => {
    const mapped = network("dr", {
      subnets: [{ name: "app", addressPrefix: "10.0.1.0/24", takenAddresses: [], delegated: false }],
    });
    const mapping = {
      sourceNetworkId: machine().network.id.toUpperCase(),
      sourceRegion: "westeurope",
      targetNetworkId: mapped.id,
      targetRegion: "North Europe",
    };
    expect(planOf({ facts: { networks: [network("hub-asr"), mapped], mappings: [mapping] } })).toMatchObject({
      network: { name: "dr", why: "mapping", mapBothWays: false },
      nics: [{ subnetName: "app", whySubnet: "first-subnet" }],
    });
    expect(refusedFor({ facts: { mappings: [mapping] } })).toEqual(["resource-unknown"]);
  });

  it("without a subnet of the same name the first alphabetically is taken, but none that Azure keeps for a service", () => {
    const subnet = (name: string, delegated = false) => ({
      name,
      addressPrefix: "10.0.1.0/24",
      takenAddresses: [],
      delegated,
    });
    const subnets = [subnet("zeta"), subnet("AzureBastionSubnet"), subnet("Beta"), subnet("alpha", true)];
    expect(planOf({ facts: { networks: [network("hub-asr", { subnets })] } }).nics).toMatchObject([
      { subnetName: "Beta", whySubnet: "first-subnet" },
    ]);
    expect(refusedFor({ facts: { networks: [network("hub-asr", { subnets: [subnet("GatewaySubnet")] })] } })).toEqual([
      "no-subnet",
    ]);
  });

  it("the zone stays the same number, or is given up where the target has none", () => {
    const source = { availability: { kind: "zone", zone: "2" } } as const;
    expect(planOf({ source }).zone).toBe("2");
    const without = planOf({ source, facts: { zones: [], sizes: [size("Standard_D4s_v5", { zones: [] })] } });
    expect(without.zone).toBeUndefined();
    expect(without.notices.map(({ code }) => code)).toEqual(["zone-not-kept"]);
  });

  it("tells what does not move with the VM", () => {
    const [configuration] = nic("n").ipConfigurations;
    if (configuration === undefined) throw new Error("no configuration");
    const source = {
      security: { type: "TrustedLaunch", secureBoot: true, vTpm: true },
      nics: [
        {
          ...nic("n", { networkSecurityGroupId: "nsg" }),
          ipConfigurations: [
            { ...configuration, publicIpId: "ip" },
            { ...configuration, name: "second", primary: false, address: "10.0.1.11" },
            { ...configuration, name: "six", primary: false, version: "IPv6", address: "fd00::1" },
          ],
        },
      ],
    } as const;
    const plan = planOf({ source });
    expect(plan.machine).toMatchObject({ securityType: "TrustedLaunch", secureBoot: true, vTpm: true });
    expect(plan.notices.map(({ code }) => code).toSorted()).toEqual([
      "ipv6-not-kept",
      "network-security-group-not-kept",
      "public-ip-not-kept",
      "secondary-address-not-kept",
      "vtpm-state-not-kept",
    ]);
    const nics = { [source.nics[0].id.toLowerCase()]: { publicIpId: "dr-ip", networkSecurityGroupId: "dr-nsg" } };
    expect(planOf({ source, options: { nics } }).nics).toMatchObject([
      { publicIpId: "dr-ip", networkSecurityGroupId: "dr-nsg" },
    ]);
  });
});

describe("every choice of the operator", () => {
  it("is followed", () => {
    const plan = planOf({
      options: {
        subscriptionId: "s2",
        resourceGroup: "recovery",
        machineName: "web-dr",
        sizeName: "standard_d8s_v5",
        network: {
          kind: "new",
          name: "dr",
          addressPrefixes: ["10.9.0.0/16"],
          subnets: [{ name: "all", addressPrefix: "10.9.0.0/24" }],
        },
        availability: { kind: "zone", zone: "3" },
        cacheAccountName: "mycache",
        targetAccountName: "mytarget",
        churn: "High",
        disks: {
          [DATA_DISK]: { name: "d", replicaName: "r", targetSku: "StandardSSD_LRS", diskEncryptionSetId: "des" },
        },
        nics: { [nic("web-1-nic").id.toLowerCase()]: { name: "n", subnetName: "ALL", address: "10.9.0.77" } },
      },
    });
    expect(plan).toMatchObject({
      subscriptionId: "s2",
      resourceGroup: { name: "recovery", id: "/subscriptions/s2/resourceGroups/recovery", why: "customised" },
      network: { name: "dr", why: "customised", addressPrefixes: ["10.9.0.0/16"] },
      zone: "3",
      cacheAccount: { name: "mycache", accountKind: "BlockBlobStorage", sku: "Premium_LRS", region: "westeurope" },
      targetAccount: { name: "mytarget", accountKind: "StorageV2" },
      disks: [{}, { replicaName: "r", disk: { name: "d", sku: "StandardSSD_LRS", diskEncryptionSetId: "des" } }],
      nics: [
        {
          name: "n",
          subnetName: "all",
          whySubnet: "customised",
          address: "10.9.0.77",
          whyAddress: "customised",
          allocation: "Static",
        },
      ],
      machine: { name: "web-dr", sizeName: "Standard_D8s_v5", whySize: "customised" },
    });
  });

  it.each([
    ["target-region-is-source", { options: { targetRegion: "West Europe" } }],
    ["name-invalid", { options: { resourceGroup: "ends-with." } }],
    ["name-invalid", { options: { cacheAccountName: "With-Hyphen" } }],
    ["resource-in-other-region", { facts: { resourceGroups: [{ name: "shop-asr", region: "westeurope" }] } }],
    ["resource-in-other-region", { facts: { networks: [network("hub-asr", { region: "francecentral" })] } }],
    ["resource-unknown", { options: { network: { kind: "existing", id: "/none" } } }],
    ["option-invalid", { options: { availability: { kind: "zone", zone: "9" } } }],
    ["option-invalid", { options: { disks: { "/no/such/disk": {} } } }],
    ["option-invalid", { options: { nics: { "/no/such/nic": {} } } }],
    ["subnet-unknown", { options: { nics: { [nic("web-1-nic").id.toLowerCase()]: { subnetName: "none" } } } }],
    ["address-invalid", { options: { nics: { [nic("web-1-nic").id.toLowerCase()]: { address: "10.0.1.3" } } } }],
    ["address-space-clash", { options: { network: { kind: "new", addressPrefixes: ["10.8.0.0/16"] } } }],
    ["address-space-clash", { options: { network: { kind: "new", addressPrefixes: ["10.0.0.0/16", "10.0.0.0/8"] } } }],
    ["address-space-clash", { options: { network: { kind: "new", addressPrefixes: ["10.0.0.1/16"], subnets: [] } } }],
    [
      "address-space-clash",
      {
        options: { network: { kind: "new", peerWith: [network("spoke").id] } },
        facts: { networks: [network("spoke")] },
      },
    ],
    ["inventory-invalid", { source: { nics: [nic("a"), nic("b", { address: "10.0.1.11" })] } }],
    ["inventory-invalid", { source: { dataDisks: [dataDisk("a", 1), dataDisk("b", 1)] } }],
    ["security-type-unsupported", { source: { security: { type: "ConfidentialVM", secureBoot: true, vTpm: true } } }],
    ["quota-short", { facts: { quota: { coresLeft: 100, familyCoresLeft: {}, nicsLeft: 0 } } }],
    [
      "name-taken",
      {
        facts: { namesTaken: [{ kind: "virtual-machine", resourceGroup: "SHOP-asr", name: "WEB-1", itemId: "other" }] },
      },
    ],
  ] as const)("%s", (code, change) => {
    expect(refusedFor(change)).toContain(code);
  });

  it("every refusal has a remedy, and all that is wrong is told at once", () => {
    const decision = planTarget(
      input({
        options: { targetRegion: "westeurope", sizeName: "none" },
        source: { osDisk: disk("u", { sku: "UltraSSD_LRS" }) },
      }),
    );
    if (decision.kind !== "refused") throw new Error("planned");
    expect(decision.refusals.map(({ code }) => code)).toEqual([
      "target-region-is-source",
      "disk-kind-unsupported",
      "size-unavailable",
    ]);
    for (const { code } of decision.refusals) expect(PLAN_REFUSALS[code].length).toBeGreaterThan(10);
  });
});

describe("disks that cannot be replicated", () => {
  const TIB = 1024 ** 4;
  it.each([
    ["disk-kind-unsupported", { sku: "UltraSSD_LRS" }],
    ["disk-kind-unsupported", { sku: "PremiumV2_LRS" }],
    ["disk-kind-unsupported", { sku: "Unknown_LRS" }],
    ["disk-kind-unsupported", { maxShares: 2 }],
    ["disk-kind-unsupported", { writeAccelerator: true }],
    ["disk-kind-unsupported", { ephemeral: true }],
    ["disk-size-unsupported", { sizeBytes: 8 * TIB }],
    ["disk-size-unsupported", { sizeBytes: 1024 ** 3 + 1 }],
    ["disk-size-unsupported", { sizeBytes: 1024 ** 2 }],
    ["encryption-set-needed", { diskEncryptionSetId: "des" }],
  ] as const)("%s %o", (code, change) => {
    expect(refusedFor({ source: { dataDisks: [dataDisk("d", 0, change)] } })).toEqual([code]);
  });

  it("the largest disk is 8 TiB - 1 MiB, and a VM has 64 data disks", () => {
    expect(refusedFor({ source: { dataDisks: [dataDisk("d", 0, { sizeBytes: 8 * TIB - 1024 ** 2 })] } })).toEqual([]);
    const many = Array.from({ length: 65 }, (_value, lun) => dataDisk(`d${lun}`, lun));
    const sizes = [size("Standard_D4s_v5", { maxDataDisks: 65 })];
    expect(refusedFor({ source: { dataDisks: many }, facts: { sizes } })).toEqual(["too-many-disks"]);
    expect(refusedFor({ source: { dataDisks: many.slice(1) }, facts: { sizes } })).toEqual([]);
  });

  it("a zone-redundant disk becomes a local one where there are no zones", () => {
    const plan = planOf({ source: { osDisk: disk("os", { sku: "Premium_ZRS" }) }, facts: { zones: [] } });
    expect(plan.disks[0]?.disk.sku).toBe("Premium_LRS");
    expect(plan.notices.map(({ code }) => code)).toEqual(["disk-sku-changes"]);
  });
});

describe("the size", () => {
  const D4 = "Standard_D4s_v5";
  const sized = (...sizes: readonly ReturnType<typeof size>[]) => planOf({ facts: { sizes } }).machine.sizeName;

  it.each([
    ["is not offered", size(D4, { restricted: true })],
    ["takes fewer NICs", size(D4, { maxNics: 0 })],
    ["takes fewer disks", size(D4, { maxDataDisks: 0 })],
    ["takes no premium disks", size(D4, { premiumStorage: false })],
    ["does not run the generation", size(D4, { generations: ["V1"] })],
    ["has another processor", size(D4, { architecture: "Arm64" })],
    ["has another disk controller", size(D4, { diskControllers: ["NVMe"] })],
  ])("when the source's size %s, the nearest that fits is chosen and told", (_why, same) => {
    const far = size("far", { cores: 16, memoryMib: 65_536 });
    const near = size("near", { cores: 8, memoryMib: 16_384 });
    const smaller = size("smaller", { cores: 2, memoryMib: 8192 });
    const plan = planOf({ facts: { sizes: [same, far, smaller, near] } });
    expect(plan.machine).toMatchObject({ sizeName: "near", whySize: "nearest-size" });
    expect(plan.notices.map(({ code }) => code)).toEqual(["size-changes"]);
  });

  it("prefers at least as large, then the closest, then the same family, then the name", () => {
    expect(sized(size("two", { cores: 2 }), size("sixteen", { cores: 16 }))).toBe("sixteen");
    expect(sized(size("two", { cores: 2 }), size("one", { cores: 1 }))).toBe("two");
    expect(sized(size("b", { family: "other" }), size("c"), size("d"))).toBe("c");
  });

  it("never changes the processor architecture, in either direction, not even when nothing else is left", () => {
    const arm = size("arm", { architecture: "Arm64" });
    expect(refusedFor({ facts: { sizes: [arm] } })).toEqual(["size-unavailable"]);
    const source = { size: size("own", { architecture: "Arm64" }) };
    expect(refusedFor({ source, facts: { sizes: [size(D4)] } })).toEqual(["size-unavailable"]);
    expect(planOf({ source, facts: { sizes: [size(D4), arm] } }).machine.sizeName).toBe("arm");
  });

  it("keeps the disk controller: SCSI where the source's size has it, else NVMe", () => {
    const [both, nvme] = [
      size("both", { diskControllers: ["SCSI", "NVMe"] }),
      size("nvme", { diskControllers: ["NVMe"] }),
    ];
    expect(planOf({ facts: { sizes: [nvme, both] } }).machine.sizeName).toBe("both");
    expect(refusedFor({ source: { size: both }, facts: { sizes: [nvme] } })).toEqual(["size-unavailable"]);
    expect(planOf({ source: { size: nvme }, facts: { sizes: [size(D4), both] } }).machine.sizeName).toBe("both");
  });

  it("counts the cores that can be used: a constrained size is no large one", () => {
    const constrained = size("a-constrained", { cores: 8, usableCores: 2 });
    expect(sized(constrained, size("b", { cores: 8 }))).toBe("b");
  });

  it("respects the quota of region and family, and refuses when nothing is left", () => {
    const quota = { coresLeft: 8, familyCoresLeft: { STANDARDDSV5FAMILY: 2 }, nicsLeft: 9 };
    expect(planOf({ facts: { quota, sizes: [size(D4), size("E4", { family: "e" })] } }).machine.sizeName).toBe("E4");
    expect(refusedFor({ facts: { quota } })).toEqual(["quota-short"]);
    expect(refusedFor({ facts: { quota: { ...quota, coresLeft: 3, familyCoresLeft: {} } } })).toEqual(["quota-short"]);
    expect(refusedFor({ facts: { sizes: [size(D4, { maxNics: 0 })] } })).toEqual(["size-unavailable"]);
  });

  it("is offered in the chosen zone", () => {
    const sizes = [size(D4, { zones: ["1"] }), size("other", { zones: ["2"] })];
    expect(planOf({ source: { availability: { kind: "zone", zone: "2" } }, facts: { sizes } }).machine.sizeName).toBe(
      "other",
    );
  });

  it("that the operator chose is refused when it does not fit", () => {
    expect(refusedFor({ options: { sizeName: "none" } })).toEqual(["size-unavailable"]);
    expect(refusedFor({ options: { sizeName: "s" }, facts: { sizes: [size("s", { cores: 999 })] } })).toEqual([
      "quota-short",
    ]);
  });
});

describe("names that are taken", () => {
  it("those of disks and NICs give way to one with a hash, and those of the item itself are its own", () => {
    const taken = (kind: "disk" | "network-interface", name: string, itemId: string | undefined) => ({
      kind,
      name,
      itemId,
      resourceGroup: "shop-asr",
    });
    const plan = planOf({
      facts: {
        namesTaken: [
          taken("disk", "WEB-1-OS", undefined),
          taken("network-interface", "web-1-nic", "x"),
          taken("disk", "web-1-data", "web-1"),
        ],
      },
    });
    expect(plan.disks[0]?.disk).toMatchObject({
      why: "default-name-taken",
      name: expect.stringMatching(/^web-1-os-[0-9a-f]{8}$/),
    });
    expect(plan.disks[1]?.disk.name).toBe("web-1-data");
    expect(plan.nics[0]).toMatchObject({ why: "default-name-taken" });
  });

  it("a disk that has the name of another's replica gets out of its way", () => {
    const plan = planOf({ source: { osDisk: disk("a"), dataDisks: [dataDisk("a-ASRReplica", 0)] } });
    const names = plan.disks.flatMap(({ replicaName, disk: { name } }) => [replicaName, name]);
    expect(new Set(names).size).toBe(4);
  });
});
