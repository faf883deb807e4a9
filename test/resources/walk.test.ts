import { describe, expect, it } from "vitest";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import type { RestoredSources } from "../../replication/resources/bodies.ts";
import { partOf, tagsOf } from "../../replication/resources/json.ts";
import { judgeStep } from "../../replication/resources/judge-step.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import { tagsFor } from "../../replication/resources/tags.ts";
import { type ResourceStep, type Walk, failoverWalk, protectionWalk } from "../../replication/resources/walk.ts";
import { dataDisk, disk, network, nic, planOf, SOURCE_GROUP, TARGET_GROUP } from "../planning/samples.ts";
import { withProperties } from "./samples.ts";

const OWNER = { itemId: "web-1", jobId: "job-7" };
const ACCOUNT = "/subscriptions/s1/resourceGroups/leeward/providers/Microsoft.Storage/storageAccounts/target";
const restored = (plan: TargetPlan): RestoredSources => ({
  storageAccountId: ACCOUNT,
  urls: Object.fromEntries(
    plan.disks.map(({ sourceId, replicaName }) => [sourceId.toLowerCase(), `https://target/${replicaName}.vhd`]),
  ),
});
const walkOf = (plan: TargetPlan): Walk => failoverWalk(plan, OWNER, restored(plan));
const shape = (walk: Walk): readonly string[] =>
  walk.map((stage) => stage.map(({ kind, role, name }) => `${role} ${kind} ${name}`).join(" | "));
const stepOf = (walk: Walk, kind: ResourceStep["kind"]): ResourceStep => {
  const found = walk.flat().find((step) => step.kind === kind);
  if (found === undefined) throw new Error(`the walk has no ${kind}`);
  return found;
};
const bodyOf = (walk: Walk, kind: ResourceStep["kind"]): ResourceJson => stepOf(walk, kind).body ?? {};

describe("the walk of a protection", () => {
  it("makes what items share: group, then network, set and accounts", () => {
    const set = {
      kind: "availability-set",
      id: `${SOURCE_GROUP}/x/web`,
      name: "web",
      faultDomains: 3,
      updateDomains: 5,
    } as const;
    const walk = protectionWalk(planOf({ source: { availability: set } }), OWNER);
    expect(shape(walk)).toEqual([
      "shared resource-group shop-asr",
      expect.stringMatching(
        /^shared virtual-network hub-asr \| shared availability-set web-asr \| shared storage-account \w*cache \| shared storage-account \w*target$/,
      ),
    ]);
    expect(bodyOf(walk, "availability-set")).toMatchObject({
      sku: { name: "Aligned" },
      properties: { platformFaultDomainCount: 3, platformUpdateDomainCount: 5 },
    });
  });

  it("an account tells what it is for, so that the next item finds it", () => {
    const accounts = protectionWalk(planOf(), OWNER)
      .flat()
      .filter(({ kind }) => kind === "storage-account");
    expect(accounts.map(({ body }) => [body?.["location"], tagsOf(body)["leeward-purpose"]])).toEqual([
      ["westeurope", "cache"],
      ["northeurope", "target"],
    ]);
  });

  it("rule 8: an account takes no key, no plain http and nobody without a name", () => {
    const bodies = protectionWalk(planOf(), OWNER)
      .flat()
      .flatMap(({ kind, body }) => (kind === "storage-account" && body !== undefined ? [body] : []));
    expect(bodies).toHaveLength(2);
    for (const body of bodies) {
      expect(body["properties"]).toEqual({
        supportsHttpsTrafficOnly: true,
        minimumTlsVersion: "TLS1_2",
        allowBlobPublicAccess: false,
        allowSharedKeyAccess: false,
      });
    }
  });

  it("a network is made with all its subnets, and one that exists is never sent", () => {
    const made = bodyOf(protectionWalk(planOf(), OWNER), "virtual-network");
    expect(partOf(made, "properties", "subnets")).toEqual([
      { name: "web", properties: { addressPrefix: "10.0.1.0/24" } },
      { name: "db", properties: { addressPrefix: "10.0.2.0/24" } },
    ]);
    const reused = stepOf(
      protectionWalk(planOf({ facts: { networks: [network("hub-asr")] } }), OWNER),
      "virtual-network",
    );
    expect(reused).toMatchObject({ action: "verify", body: undefined });
  });
});

describe("the walk of a failover", () => {
  it("goes from what is needed to what needs it, static addresses before dynamic ones", () => {
    const nics = [nic("first", { allocation: "Dynamic" }), nic("second", { primary: false })];
    expect(shape(walkOf(planOf({ source: { nics } })))).toEqual([
      "shared resource-group shop-asr",
      "shared virtual-network hub-asr",
      "failover disk web-1-os | failover disk web-1-data | failover network-interface second",
      "failover network-interface first",
      "failover virtual-machine web-1",
    ]);
  });

  it("a drill's parts are the drill's, and so is a new network that was asked for it", () => {
    expect(shape(walkOf(planOf({ purpose: "test-failover" })))).toEqual([
      "shared resource-group shop-asr",
      "shared virtual-network hub-asr",
      "test-failover disk web-1-os-ASRtest | test-failover disk web-1-data-ASRtest | test-failover network-interface web-1-nic-test",
      "test-failover virtual-machine web-1-test",
    ]);
    const drill = planOf({ purpose: "test-failover", options: { network: { kind: "new", name: "drill" } } });
    expect(stepOf(walkOf(drill), "virtual-network")).toMatchObject({
      name: "drill",
      role: "test-failover",
      action: "create",
    });
    const existing = network("lab");
    const inLab = planOf({
      purpose: "test-failover",
      options: { network: { kind: "existing", id: existing.id } },
      facts: { networks: [existing] },
    });
    expect(stepOf(walkOf(inLab), "virtual-network")).toMatchObject({ name: "lab", role: "shared", action: "verify" });
  });

  it("disks are imported from the restored blobs; what belongs to a system belongs to the OS disk", () => {
    const security = { type: "TrustedLaunch", secureBoot: true, vTpm: true } as const;
    const set = "/subscriptions/s1/resourceGroups/keys/providers/Microsoft.Compute/diskEncryptionSets/ne";
    const dataId = dataDisk("web-1-data", 0).id;
    const plan = planOf({
      source: { security },
      options: { disks: { [dataId.toLowerCase()]: { diskEncryptionSetId: set } } },
    });
    const [osBody, dataBody] = walkOf(plan)
      .flat()
      .filter(({ kind }) => kind === "disk")
      .map(({ body }) => body);
    expect(osBody).toEqual({
      location: "northeurope",
      tags: { "leeward-item": "web-1", "leeward-job": "job-7" },
      sku: { name: "Premium_LRS" },
      properties: {
        creationData: {
          createOption: "Import",
          sourceUri: "https://target/web-1-os-ASRReplica.vhd",
          storageAccountId: ACCOUNT,
        },
        osType: "Linux",
        hyperVGeneration: "V2",
        securityProfile: { securityType: "TrustedLaunch" },
      },
    });
    expect(dataBody).toEqual({
      location: "northeurope",
      tags: { "leeward-item": "web-1", "leeward-job": "job-7" },
      sku: { name: "Premium_LRS" },
      properties: {
        creationData: {
          createOption: "Import",
          sourceUri: "https://target/web-1-data-ASRReplica.vhd",
          storageAccountId: ACCOUNT,
        },
        encryption: { type: "EncryptionAtRestWithCustomerKey", diskEncryptionSetId: set },
      },
    });
  });

  it("a machine's zone is that of its disks, but for zone-redundant ones", () => {
    const plan = planOf({
      source: { availability: { kind: "zone", zone: "2" }, dataDisks: [dataDisk("zrs", 0, { sku: "Premium_ZRS" })] },
    });
    const zoned = walkOf(plan)
      .flat()
      .map(({ name, body }) => [name, body?.["zones"]] as const)
      .filter(([, zones]) => zones !== undefined);
    expect(zoned).toEqual([
      ["web-1-os", ["2"]],
      ["web-1", ["2"]],
    ]);
  });

  it("a machine is made on its disks: attached, without a profile of the system, kept when it is deleted", () => {
    const source = {
      osDisk: disk("web-1-os", { caching: "ReadOnly" }),
      licenseType: "Windows_Server",
      tags: { owner: "shop" },
    };
    const compute = `${TARGET_GROUP}/providers/Microsoft.Compute`;
    expect(bodyOf(walkOf(planOf({ source })), "virtual-machine")).toEqual({
      location: "northeurope",
      tags: { owner: "shop", "leeward-item": "web-1", "leeward-job": "job-7" },
      properties: {
        hardwareProfile: { vmSize: "Standard_D4s_v5" },
        storageProfile: {
          osDisk: {
            createOption: "Attach",
            caching: "ReadOnly",
            deleteOption: "Detach",
            managedDisk: { id: `${compute}/disks/web-1-os` },
            osType: "Linux",
          },
          dataDisks: [
            {
              lun: 0,
              createOption: "Attach",
              caching: "None",
              deleteOption: "Detach",
              managedDisk: { id: `${compute}/disks/web-1-data` },
            },
          ],
        },
        networkProfile: {
          networkInterfaces: [
            {
              id: `${TARGET_GROUP}/providers/Microsoft.Network/networkInterfaces/web-1-nic`,
              properties: { primary: true, deleteOption: "Detach" },
            },
          ],
        },
        licenseType: "Windows_Server",
      },
    });
  });

  it("a disk that was not restored is a fault, not a machine without it", () => {
    expect(() => failoverWalk(planOf(), OWNER, { storageAccountId: ACCOUNT, urls: {} })).toThrow(/was not restored/);
  });

  it("survives the durable engine: a walk is plain JSON", () => {
    const walk = walkOf(planOf());
    expect(JSON.parse(JSON.stringify(walk))).toEqual(walk);
  });
});

describe("tags", () => {
  it("leave room for ours, and drop what Azure keeps for itself", () => {
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`tag${String(at).padStart(2, "0")}`, "x"]));
    const tags = tagsFor(OWNER, { ...many, "Azure-thing": "x", "LEEWARD-ITEM": "other" });
    expect(Object.keys(tags)).toHaveLength(50);
    expect(tags).toMatchObject({ tag00: "x", tag47: "x", "leeward-item": "web-1", "leeward-job": "job-7" });
    expect(tags).not.toHaveProperty("Azure-thing");
  });
});

describe("what to do about a step", () => {
  const walk = walkOf(planOf());
  const [networkStep, diskStep, machineStep] = [
    stepOf(walk, "virtual-network"),
    stepOf(walk, "disk"),
    stepOf(walk, "virtual-machine"),
  ];
  /** The resource as Azure answers it after the step's PUT. */
  const made = (step: ResourceStep, state = "Succeeded"): ResourceJson =>
    withProperties(
      { id: step.id.toUpperCase(), ...step.body, location: "North Europe" },
      { provisioningState: state, more: 1 },
    );
  const judge = (step: ResourceStep, found: ResourceJson | undefined, itemId = "web-1") =>
    judgeStep(step, found, { itemId, jobId: "job-8" });

  it("nothing there: create it, or tell that it is gone when the plan counts on it", () => {
    expect(judge(diskStep, undefined)).toEqual({ kind: "create", body: diskStep.body, createOnly: false });
    expect(judge(networkStep, undefined)).toMatchObject({ kind: "create", createOnly: true });
    const verified = stepOf(walkOf(planOf({ facts: { networks: [network("hub-asr")] } })), "virtual-network");
    expect(judge(verified, undefined)).toMatchObject({ kind: "refused", code: "azure-resource-missing" });
  });

  it("rule 10: what an earlier run made is present and ours, whatever job made it", () => {
    for (const step of walk.flat()) expect(judge(step, made(step))).toEqual({ kind: "present", ours: true });
  });

  it("what many share is ours when it was made for another item; a disk is not", () => {
    expect(judge(networkStep, made(networkStep), "web-2")).toEqual({ kind: "present", ours: true });
    expect(judge(diskStep, made(diskStep), "web-2")).toMatchObject({
      kind: "refused",
      code: "azure-resource-conflict",
    });
  });

  it("what was there before is used but never ours; a disk of that name is never touched", () => {
    const before = { ...made(networkStep), tags: {} };
    expect(judge(networkStep, before)).toEqual({ kind: "present", ours: false });
    expect(judge(diskStep, { ...made(diskStep), tags: { owner: "else" } })).toMatchObject({
      kind: "refused",
      code: "azure-resource-conflict",
    });
  });

  it("what Azure still changes is waited for; what failed is put again", () => {
    expect(judge(machineStep, made(machineStep, "Creating"))).toEqual({ kind: "changing" });
    expect(judge(machineStep, made(machineStep, "Failed"))).toEqual({
      kind: "create",
      body: machineStep.body,
      createOnly: false,
    });
  });

  it("a failed network is put again only while nobody added a subnet, which the PUT would delete", () => {
    expect(judge(networkStep, made(networkStep, "Failed"))).toMatchObject({ kind: "create", createOnly: false });
    const subnets = [
      { name: "web", properties: { addressPrefix: "10.0.1.0/24" } },
      { name: "theirs", properties: { addressPrefix: "10.0.9.0/24" } },
    ];
    expect(judge(networkStep, withProperties(made(networkStep, "Failed"), { subnets }))).toMatchObject({
      kind: "refused",
    });
  });

  it("another recovery point, another subnet, another region are told, not overwritten", () => {
    const otherPoint = { createOption: "Import", sourceUri: "https://target/older.vhd", storageAccountId: ACCOUNT };
    expect(judge(diskStep, withProperties(made(diskStep), { creationData: otherPoint }))).toMatchObject({
      kind: "refused",
      message: expect.stringMatching(
        /properties\.creationData\.sourceUri is "https:\/\/target\/older\.vhd"/,
      ) as unknown,
    });
    const moved = { subnets: [{ name: "web", properties: { addressPrefix: "10.0.7.0/24" } }] };
    expect(judge(networkStep, withProperties(made(networkStep), moved))).toMatchObject({ kind: "refused" });
    expect(judge(networkStep, { ...made(networkStep), location: "westeurope" })).toMatchObject({ kind: "refused" });
  });

  it("a subnet whose prefix stands in a list is the same subnet", () => {
    const listed = { subnets: [{ name: "WEB", properties: { addressPrefixes: ["10.0.1.0/24"] } }] };
    expect(judge(networkStep, withProperties(made(networkStep), listed))).toEqual({ kind: "present", ours: true });
  });
});
