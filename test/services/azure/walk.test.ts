import { describe, expect, it } from "vitest";
import { openResourceManager } from "../../../azure/arm/resource-manager.ts";
import {
  ACCOUNT,
  GROUP,
  REGION,
  startWorld,
  SUBSCRIPTION,
  TOKEN,
} from "../../../packages/azure-local/test/services/resource-manager/world.ts";
import { planTarget } from "../../../replication/planning/plan-target.ts";
import type { TargetPlan } from "../../../replication/planning/plan.ts";
import { listOf, partOf, tagsOf, textOf } from "../../../replication/resources/json.ts";
import { judgeStep } from "../../../replication/resources/judge-step.ts";
import { readInventory } from "../../../replication/resources/read-inventory.ts";
import { readTargetFacts } from "../../../replication/resources/read-target-facts.ts";
import type { Begun, Change, ResourceManager } from "../../../replication/resources/resource-manager.ts";
import { type Walk, failoverWalk, protectionWalk } from "../../../replication/resources/walk.ts";

const OWNER = { itemId: "web-1", jobId: "job-1" };
const SOURCE = `/subscriptions/${SUBSCRIPTION}/resourceGroups/shop`;
const MIB = 1024 * 1024;

/** What a flow does with a walk, without its timers. Returns the ids that were put. */
async function follow(resourceManager: ResourceManager, walk: Walk): Promise<readonly string[]> {
  const made: string[] = [];
  for (const step of walk.flat()) {
    const judgement = judgeStep(step, await resourceManager.read(step.id), OWNER);
    if (judgement.kind === "present") continue;
    if (judgement.kind !== "create") throw new Error(JSON.stringify(judgement));
    await run(resourceManager, { kind: "put", id: step.id, body: judgement.body });
    made.push(step.name);
  }
  return made;
}

async function run(resourceManager: ResourceManager, change: Change): Promise<void> {
  let progress: Begun = await resourceManager.begin(change);
  while (progress.kind !== "done") {
    if (progress.kind === "failed") throw new Error(`${change.id}: ${progress.azureCode} ${progress.message}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
    progress =
      progress.kind === "busy" ? await resourceManager.begin(change) : await resourceManager.poll(progress.operation);
  }
}

/** A VM with two disks and two NICs in the source region, as its owner made it. */
async function makeSource(resourceManager: ResourceManager): Promise<string> {
  const location = "westeurope";
  const of = (path: string): string => `${SOURCE}/providers/${path}`;
  const put = (id: string, body: object): Promise<void> =>
    run(resourceManager, { kind: "put", id, body: { location, ...body } });
  await put(SOURCE, {});
  const network = of("Microsoft.Network/virtualNetworks/hub");
  const subnets = ["web", "db"].map((name, at) => ({ name, properties: { addressPrefix: `10.0.${at}.0/24` } }));
  await put(network, { properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] }, subnets } });
  const nic = (name: string, subnet: string, address: object) => {
    const properties = { subnet: { id: `${network}/subnets/${subnet}` }, ...address };
    return put(of(`Microsoft.Network/networkInterfaces/${name}`), {
      properties: { ipConfigurations: [{ name: "one", properties }] },
    });
  };
  await nic("front", "web", { privateIPAllocationMethod: "Dynamic" });
  await nic("back", "db", { privateIPAllocationMethod: "Static", privateIPAddress: "10.0.1.20" });
  const disk = (name: string, os: object) =>
    put(of(`Microsoft.Compute/disks/${name}`), {
      sku: { name: "Premium_LRS" },
      properties: { diskSizeGB: 1, creationData: { createOption: "Empty" }, ...os },
    });
  await disk("os", { osType: "Linux", hyperVGeneration: "V2" });
  await disk("data", {});
  const managedDisk = (name: string) => ({
    createOption: "Attach",
    managedDisk: { id: of(`Microsoft.Compute/disks/${name}`) },
  });
  const id = of("Microsoft.Compute/virtualMachines/web-1");
  const networkInterfaces = ["front", "back"].map((name, at) => ({
    id: of(`Microsoft.Network/networkInterfaces/${name}`),
    properties: { primary: at === 0 },
  }));
  const storageProfile = {
    osDisk: { ...managedDisk("os"), osType: "Linux", caching: "ReadWrite" },
    dataDisks: [{ ...managedDisk("data"), lun: 3 }],
  };
  await put(id, {
    tags: { owner: "shop" },
    properties: {
      hardwareProfile: { vmSize: "Standard_D2s_v5" },
      storageProfile,
      networkProfile: { networkInterfaces },
    },
  });
  return id;
}

describe("from a source machine to a failed-over one, through the adapter and the local Resource Manager", async () => {
  const world = await startWorld();
  const resourceManager = openResourceManager(
    { endpoint: world.arm.url, access: { kind: "token", token: TOKEN } },
    { now: () => Date.now() },
  );
  const account = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Storage/storageAccounts`;

  const planOf = async (machineId: string): Promise<TargetPlan> => {
    const inventory = await readInventory(resourceManager, machineId);
    if (inventory.kind === "refused") throw new Error(JSON.stringify(inventory.refusals));
    const known = {
      targetRegion: REGION,
      controlResourceGroup: GROUP,
      mappings: [],
      reservedNames: [],
      reservedAddresses: [],
    };
    const facts = await readTargetFacts(resourceManager, SUBSCRIPTION, known);
    const decision = planTarget({
      itemId: "web-1",
      purpose: "failover",
      source: inventory.source,
      options: { targetRegion: REGION },
      facts,
    });
    if (decision.kind === "refused") throw new Error(JSON.stringify(decision.refusals));
    return decision.plan;
  };

  it("reads, plans, makes everything once, and nothing a second time", { timeout: 120_000 }, async () => {
    for (const [name, location, purpose] of [
      [ACCOUNT, REGION, "target"],
      ["armsourcewe", "westeurope", "cache"],
    ] as const) {
      const body = { location, kind: "StorageV2", sku: { name: "Standard_LRS" }, tags: { "leeward-purpose": purpose } };
      await run(resourceManager, { kind: "put", id: `${account}/${name}`, body });
    }
    const plan = await planOf(await makeSource(resourceManager));
    expect([plan.cacheAccount.action, plan.targetAccount.action]).toEqual(["reuse", "reuse"]);
    const protection = protectionWalk(plan, OWNER);
    expect(await follow(resourceManager, protection)).toEqual(["shop-asr", "hub-asr"]);

    const urls: Record<string, string> = {};
    for (const { sourceId, replicaName } of plan.disks) {
      urls[sourceId.toLowerCase()] = await world.putVhd(`${replicaName}.vhd`, Buffer.alloc(MIB, replicaName));
    }
    const walk = failoverWalk(plan, OWNER, { storageAccountId: `${account}/${ACCOUNT}`, urls });
    expect(await follow(resourceManager, walk)).toEqual(["os", "data", "back", "front", "web-1"]);
    const machine = await resourceManager.read(plan.machine.id);
    expect(tagsOf(machine)).toEqual({ owner: "shop", "leeward-item": "web-1", "leeward-job": "job-1" });
    expect(listOf(machine, "properties", "storageProfile", "dataDisks").map((disk) => partOf(disk, "lun"))).toEqual([
      3,
    ]);
    const nics = await resourceManager.list(
      `/subscriptions/${SUBSCRIPTION}/resourceGroups/shop-asr/providers/Microsoft.Network/networkInterfaces`,
    );
    const addresses = nics.map((nic) => [
      nic["name"],
      textOf(listOf(nic, "properties", "ipConfigurations")[0], "properties", "privateIPAddress"),
    ]);
    expect(Object.fromEntries(addresses)).toEqual({ back: "10.0.1.20", front: "10.0.0.4" });

    // Rule 10: whoever walks again, even with a plan made anew, finds everything.
    expect(await follow(resourceManager, [...protection, ...walk])).toEqual([]);
    const anew = await planOf(`${SOURCE}/providers/Microsoft.Compute/virtualMachines/web-1`);
    expect([anew.resourceGroup.action, anew.network.action]).toEqual(["reuse", "reuse"]);
    expect(await follow(resourceManager, protectionWalk(anew, OWNER))).toEqual([]);
  });
});
