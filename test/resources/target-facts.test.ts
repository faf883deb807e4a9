import { describe, expect, it } from "vitest";
import { planTarget } from "../../replication/planning/plan-target.ts";
import { readTargetFacts } from "../../replication/resources/read-target-facts.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import type { KnownFacts } from "../../replication/resources/target-facts.ts";
import { memoryResourceManager } from "../memory/memory-resource-manager.ts";
import { input, TARGET_GROUP } from "../planning/samples.ts";
import { sku } from "./samples.ts";

const SCOPE = "/subscriptions/s1";
const known = (change: Partial<KnownFacts> = {}): KnownFacts => ({
  targetRegion: "North Europe",
  controlResourceGroup: "leeward",
  mappings: [],
  reservedNames: [],
  reservedAddresses: [],
  ...change,
});
const usage = (value: string, currentValue: number, limit: number): ResourceJson => ({
  name: { value },
  currentValue,
  limit,
});

function world() {
  const resourceManager = memoryResourceManager();
  const seed = (path: string, body: ResourceJson): void =>
    resourceManager.seed(`${TARGET_GROUP}/providers/${path}`, { location: "North Europe", ...body });
  resourceManager.seed(TARGET_GROUP, { location: "northeurope" });
  const subnet = `${TARGET_GROUP}/providers/Microsoft.Network/virtualNetworks/hub-asr/subnets/web`;
  seed("Microsoft.Network/virtualNetworks/hub-asr", {
    tags: { "leeward-item": "web-0" },
    properties: {
      addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
      subnets: [
        { name: "web", properties: { addressPrefix: "10.0.1.0/24" } },
        { name: "sql", properties: { addressPrefix: "10.0.3.0/24", delegations: [{ name: "sql" }] } },
      ],
    },
  });
  seed("Microsoft.Network/networkInterfaces/other", {
    properties: {
      ipConfigurations: [{ properties: { privateIPAddress: "10.0.1.10", subnet: { id: subnet.toUpperCase() } } }],
    },
  });
  seed("Microsoft.Compute/availabilitySets/web-asr", { properties: { platformFaultDomainCount: 2 } });
  seed("Microsoft.Compute/disks/web-1-os", { tags: { "Leeward-Item": "web-1" } });
  seed("Microsoft.Compute/virtualMachines/web-9", {});
  seed("Microsoft.Storage/storageAccounts/leewardtarget", { kind: "StorageV2", tags: { "leeward-purpose": "target" } });
  seed("Microsoft.Storage/storageAccounts/others", { kind: "BlockBlobStorage" });
  const faultDomains = {
    resourceType: "availabilitySets",
    name: "Aligned",
    locations: ["northeurope"],
    capabilities: [{ name: "MaximumPlatformFaultDomainCount", value: "3" }],
  };
  resourceManager.seedList(`${SCOPE}/providers/Microsoft.Compute/skus`, [
    sku("Standard_D4s_v5", { location: "northeurope" }),
    faultDomains,
  ]);
  resourceManager.seedList(`${SCOPE}/providers/Microsoft.Compute/locations/northeurope/usages`, [
    usage("cores", 90, 100),
    usage("standardDSv5Family", 46, 50),
    usage("virtualMachines", 1, 25_000),
  ]);
  resourceManager.seedList(`${SCOPE}/providers/Microsoft.Network/locations/northeurope/usages`, [
    usage("NetworkInterfaces", 1, 65_536),
  ]);
  return { resourceManager, subnet };
}

describe("reading the facts of a target", () => {
  it("finds what stands there: places, quota, names with their items, addresses with their subnets", async () => {
    const { resourceManager, subnet } = world();
    const facts = await readTargetFacts(
      resourceManager,
      "s1",
      known({ reservedAddresses: [{ subnetId: subnet, address: "10.0.1.11" }] }),
    );
    expect(facts).toMatchObject({
      zones: ["1", "2", "3"],
      maxFaultDomains: 3,
      resourceGroups: [{ name: "shop-asr", region: "northeurope" }],
      quota: { coresLeft: 10, familyCoresLeft: { standardDSv5Family: 4 }, nicsLeft: 65_535 },
    });
    expect(facts.networks[0]).toMatchObject({ name: "hub-asr", resourceGroup: "shop-asr", region: "northeurope" });
    expect(facts.networks[0]?.subnets).toEqual([
      { name: "web", addressPrefix: "10.0.1.0/24", takenAddresses: ["10.0.1.11", "10.0.1.10"], delegated: false },
      { name: "sql", addressPrefix: "10.0.3.0/24", takenAddresses: [], delegated: true },
    ]);
    expect(facts.storageAccounts.map(({ name, purpose, churn }) => [name, purpose, churn])).toEqual([
      ["leewardtarget", "target", "Normal"],
      ["others", undefined, "High"],
    ]);
    expect(facts.namesTaken).toContainEqual({
      kind: "disk",
      name: "web-1-os",
      resourceGroup: "shop-asr",
      itemId: "web-1",
    });
    expect(facts.namesTaken).toContainEqual({
      kind: "storage-account",
      name: "others",
      resourceGroup: undefined,
      itemId: undefined,
    });
    expect(facts.namesTaken.map(({ kind }) => kind)).not.toContain("resource-group");
  });

  it("leads to a plan that reuses what is there and avoids what is taken", async () => {
    const { resourceManager } = world();
    const decision = planTarget({ ...input(), facts: await readTargetFacts(resourceManager, "s1", known()) });
    if (decision.kind === "refused") throw new Error(JSON.stringify(decision.refusals));
    const { plan } = decision;
    expect([plan.resourceGroup.action, plan.network.action, plan.targetAccount.name]).toEqual([
      "reuse",
      "reuse",
      "leewardtarget",
    ]);
    expect(plan.nics[0]?.address).toBe("10.0.1.11");
  });

  it("without a quota of Azure there is room", async () => {
    const { resourceManager } = world();
    resourceManager.seedList(`${SCOPE}/providers/Microsoft.Compute/locations/northeurope/usages`, []);
    const { quota } = await readTargetFacts(resourceManager, "s1", known());
    expect(quota.coresLeft).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("costs ten listings, however much there is", async () => {
    const { resourceManager } = world();
    await readTargetFacts(resourceManager, "s1", known());
    expect(resourceManager.requests).toHaveLength(10);
  });
});
