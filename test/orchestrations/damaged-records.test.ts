import { describe, expect, it } from "vitest";
import { closeJob } from "../../orchestrations/activities/job.ts";
import { deletePolicy, listPolicies, putPolicy, readPolicy } from "../../replication/items/policy-records.ts";
import { findJob, listJobs } from "../../replication/jobs/job-record.ts";
import { type JobRecord, stateDescription } from "../../replication/jobs/job.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import { listOverviews } from "../../replication/operations/overview.ts";
import { reconcileFlow } from "../../replication/operations/request.ts";
import { addMapping, listMappings } from "../../replication/planning/mapping-records.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import { damages } from "../memory/damages.ts";
import { network } from "../resources/samples.ts";
import { drive } from "./driver.ts";
import { type FlowWorld, TARGET_VM, emptyHistory, enable, failover, plainOperation, protectedWorld } from "./world.ts";

const GROUP = "/subscriptions/s1/resourceGroups/shop-asr";
const NETWORK = `${GROUP}/providers/Microsoft.Network/virtualNetworks/`.toLowerCase();
const disable = (world: FlowWorld, itemId?: string): Promise<JobRecord> =>
  world.operate(plainOperation("DisableProtection", itemId));
const options = { targetRegion: "northeurope", machineName: "web-2" };
const second = { ...enable("web-2"), options } as ReturnType<typeof enable>;
const stateOf = async (world: FlowWorld, itemId = "web-1"): Promise<string> =>
  (await readManaged(world.stores, itemId)).situation.state;
const resourcesOf = (world: FlowWorld): readonly string[] => [...world.resourceManager.resources.keys()].toSorted();
const changesOf = (world: FlowWorld): number =>
  world.resourceManager.requests.filter((request) => request.startsWith("begin ")).length;
const bytesOf = async (world: FlowWorld, name: string, itemId = "web-1"): Promise<Uint8Array> =>
  (await world.stores.management(itemId).read(name))?.bytes ?? new Uint8Array();

/** Two items in one group and network. */
async function twoItems(): Promise<FlowWorld> {
  const world = await protectedWorld();
  expect((await world.operate(second)).errors).toEqual([]);
  return world;
}

/** The first item's record in each way in which it may be damaged, the second's in its place among them. */
async function eachDamage(name: string, flips: number, look: (world: FlowWorld) => Promise<void>): Promise<void> {
  const sample = await twoItems();
  const anothers = await bytesOf(sample, name, "web-2");
  for (const bytes of [...damages(await bytesOf(sample, name), flips), anothers]) {
    const world = await twoItems();
    await world.stores.management("web-1").put(name, bytes);
    await look(world);
  }
}

describe("a damaged ledger.json", () => {
  it.each([failover(), plainOperation("DisableProtection")])(
    "ends a flow before it makes or removes anything: $operation",
    async (asked) => {
      await eachDamage("ledger.json", 12, async (world) => {
        const [before, changes] = [resourcesOf(world), changesOf(world)];
        const job = await world.operate(asked);
        expect(job).toMatchObject({ state: "Failed", errors: [{ code: "record-corrupt" }] });
        expect(job.errors[0]?.message).toContain("ledger.json");
        expect([resourcesOf(world), changesOf(world)]).toEqual([before, changes]);
      });
    },
  );

  it("keeps other items from nothing: what it may share with them stays, and is named", async () => {
    await eachDamage("ledger.json", 6, async (world) => {
      expect((await world.operate(failover("web-2"))).errors).toEqual([]);
      const job = await disable(world, "web-2");
      expect(job).toMatchObject({ state: "Succeeded", errors: [] });
      expect(job.leftovers).toContainEqual(expect.objectContaining({ message: expect.stringContaining("web-1") }));
      expect(resourcesOf(world).some((id) => id.startsWith(NETWORK))).toBe(true);
    });
  });

  it("that an operator takes away is made anew of what stands: disabling then removes all", async () => {
    const world = await protectedWorld();
    const quota = { kind: "failed", code: "azure-quota-exceeded" } as const;
    world.resourceManager.fail({ on: "begin", change: "put", id: "virtualMachines", times: 1, with: quota });
    await world.operate(failover());
    const made = (await readLedger(world.stores, "web-1")).entries.filter(({ state }) => state === "created");
    const before = new Set(made.map(({ id }) => id));
    await world.stores.management("web-1").put("ledger.json", new Uint8Array([1]));
    expect((await disable(world)).state).toBe("Failed");
    await world.stores.management("web-1").remove("ledger.json");
    const { run } = await world.ask(plainOperation("DisableProtection"));
    const history = emptyHistory();
    await drive(world.context, run, { history, onWait: world.pass, dieAfter: 1 });
    expect(new Set((await readLedger(world.stores, "web-1")).entries.map(({ id }) => id))).toEqual(before);
    const job = await world.finish(run, { history });
    expect([job.state, job.errors, job.leftovers?.map(({ id }) => id)]).toEqual(["Succeeded", [], [GROUP]]);
    expect(resourcesOf(world).filter((id) => id.startsWith(`${GROUP.toLowerCase()}/`))).toEqual([]);
  });

  it("made anew knows nothing of what is somebody else's", async () => {
    const world = await protectedWorld();
    const plan = (await readManaged(world.stores, "web-1")).plan;
    const disk = plan?.disks[0]?.disk.id ?? "";
    world.resourceManager.seed(disk, { location: "northeurope", tags: { "leeward-item": "web-9" } });
    await world.stores.management("web-1").remove("ledger.json");
    await disable(world);
    expect(world.resourceManager.resources.has(disk.toLowerCase())).toBe(true);
  });
});

describe("a damaged managed.json", () => {
  it("is named, keeps other items from nothing but its names, and is made anew by protecting the VM again", async () => {
    await eachDamage("managed.json", 6, async (world) => {
      const { items } = await listOverviews(world.context);
      expect(items.find(({ itemId }) => itemId === "web-1")).toMatchObject({
        damaged: { code: "record-corrupt" },
        status: { itemId: "web-1" },
      });
      await expect(world.ask(failover())).rejects.toMatchObject({ code: "record-corrupt" });
      const third = {
        ...enable("web-3"),
        options: { targetRegion: "northeurope", machineName: "web-3" },
      } as ReturnType<typeof enable>;
      const other = await world.operate(third);
      expect([other.state, other.errors.map(({ code, message }) => [code, message.includes('"web-1"')])]).toEqual([
        "Succeeded",
        [["record-corrupt", true]],
      ]);
      // In this world it has the same disks.
      await disable(world, "web-3");
      expect(await world.operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
      expect((await world.operate(failover())).errors).toEqual([]);
    });
  });

  it("of a machine that users work with costs them nothing: what a failover made is never removed afterwards", async () => {
    const world = await protectedWorld();
    await world.operate(failover());
    await world.stores.management("web-1").put("managed.json", new Uint8Array([1]));
    expect(await world.operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
    // The machine and its disks have the names.
    expect(await world.operate(failover())).toMatchObject({
      state: "Failed",
      errors: [{ code: "azure-resource-conflict" }],
    });
    expect(world.resourceManager.resources.has(TARGET_VM.toLowerCase())).toBe(true);
    expect((await disable(world)).errors).toEqual([]);
    expect(world.resourceManager.resources.has(TARGET_VM.toLowerCase())).toBe(true);
  });

  it("is not made anew while the ledger is damaged too", async () => {
    const world = await protectedWorld();
    for (const name of ["managed.json", "ledger.json"])
      await world.stores.management("web-1").put(name, new Uint8Array([1]));
    await expect(world.ask(enable())).rejects.toMatchObject({ code: "record-corrupt", facts: { name: "ledger.json" } });
  });
});

describe("a damaged job record", () => {
  const NO_FLOWS: Parameters<typeof reconcileFlow>[2] = { start: async () => undefined, stateOf: async () => "ended" };

  it("of before hides no other job, keeps no operation from its end, and is named", async () => {
    const probe = await protectedWorld();
    const name = probe.recordNames("web-1").find((each) => each.startsWith("jobs/")) ?? "";
    for (const bytes of damages(await bytesOf(probe, name), 12)) {
      const world = await protectedWorld();
      const [own = ""] = world.recordNames("web-1").filter((each) => each.startsWith("jobs/"));
      await world.stores.management("web-1").put(own, bytes);
      const jobId = own.slice("jobs/".length, -".json".length);
      expect((await world.operate(failover())).errors).toEqual([]);
      const { jobs, damaged } = await listJobs(world.stores, "web-1");
      expect([jobs.map(({ flow }) => flow), damaged]).toEqual([["unplanned-failover"], [jobId]]);
      await expect(findJob(world.stores, "web-1", jobId)).rejects.toMatchObject({ code: "record-corrupt" });
    }
  });

  it("of the flow that runs ends it, and the job is made anew and says so; the item can be asked again", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    const history = emptyHistory();
    await drive(world.context, run, { history, onWait: world.pass, dieAfter: 12 });
    await world.stores.management("web-1").put(`jobs/${run.jobId}.json`, new Uint8Array([1]));
    const job = await world.finish(run, { history });
    expect([job.state, job.errors[0]?.code, await stateOf(world)]).toEqual([
      "Failed",
      "record-corrupt",
      "FailoverFailed",
    ]);
    expect((await world.operate(failover())).errors).toEqual([]);
  });

  it("of a flow whose last word is lost is made anew by the sweep", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    await drive(world.context, run, { onWait: world.pass, dieAfter: 12 });
    await world.stores.management("web-1").put(`jobs/${run.jobId}.json`, new Uint8Array([1]));
    await reconcileFlow(world.context, "web-1", NO_FLOWS);
    expect(await findJob(world.stores, "web-1", run.jobId)).toMatchObject({
      state: "Failed",
      flow: "unplanned-failover",
    });
    expect(await stateOf(world)).toBe("FailoverFailed");
  });

  it("that was damaged at its very end is no plain success", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    const history = emptyHistory();
    await world.finish(run, { history });
    // Everything but the end itself.
    history.steps.pop();
    history.results.pop();
    const again = await protectedWorld();
    const { run: asked } = await again.ask(failover());
    await drive(again.context, asked, { onWait: again.pass, dieAfter: history.steps.length });
    await again.stores.management("web-1").put(`jobs/${asked.jobId}.json`, new Uint8Array([1]));
    await closeJob(again.context, asked, { kind: "succeeded" });
    const job = await findJob(again.stores, "web-1", asked.jobId);
    if (job === undefined) throw new Error("the job has a record");
    expect([job.state, stateDescription(job), await stateOf(again)]).toEqual([
      "Succeeded",
      "CompletedWithInformation",
      "FailoverCommitPending",
    ]);
  });
});

describe("a damaged policy", () => {
  it("hides no other, is named, and is made anew or deleted; items that have it keep their values", async () => {
    const world = await protectedWorld();
    const { context } = world;
    await putPolicy(context, "gold", { crashConsistentFrequencyInMinutes: 10 });
    await putPolicy(context, "silver", { crashConsistentFrequencyInMinutes: 30 });
    const bytesIn = async (name: string) =>
      (await context.control.read(`policies/${name}.json`))?.bytes ?? new Uint8Array();
    for (const bytes of [...damages(await bytesIn("gold")), await bytesIn("silver")]) {
      await context.control.put("policies/gold.json", bytes);
      expect(await listPolicies(context)).toMatchObject({ policies: [{ name: "silver" }], damaged: ["gold"] });
      await expect(readPolicy(context, "gold")).rejects.toMatchObject({ code: "record-corrupt" });
      expect(await putPolicy(context, "gold", { crashConsistentFrequencyInMinutes: 10 })).toMatchObject({
        isNew: false,
      });
      expect((await readPolicy(context, "gold")).policy.pointIntervalMs).toBe(600_000);
      await context.control.put("policies/gold.json", bytes);
      await deletePolicy(context, "gold");
      expect(await listPolicies(context)).toMatchObject({ policies: [{ name: "silver" }], damaged: [] });
      await putPolicy(context, "gold", { crashConsistentFrequencyInMinutes: 10 });
    }
  });
});

describe("damaged network mappings", () => {
  it("keep from planning only what needs them, and nobody from being disabled", async () => {
    const probe = await protectedWorld();
    const bytes = (await probe.context.control.read("network-mappings.json"))?.bytes ?? new Uint8Array();
    for (const damaged of damages(bytes, 12)) {
      const world = await protectedWorld();
      await world.context.control.put("network-mappings.json", damaged);
      await expect(listMappings(world.context.control)).rejects.toMatchObject({ code: "record-corrupt" });
      const mapping = {
        sourceNetworkId: String(network["id"]),
        sourceRegion: "westeurope",
        targetNetworkId: `${GROUP}/providers/Microsoft.Network/virtualNetworks/other`,
        targetRegion: "northeurope",
      };
      await expect(addMapping(world.context.control, mapping)).rejects.toMatchObject({ code: "record-corrupt" });
      expect((await world.operate(failover())).errors).toEqual([]);
      expect(await world.operate(second)).toMatchObject({ state: "Failed", errors: [{ code: "record-corrupt" }] });
      const named = { ...second, options: { ...options, network: { kind: "new", name: "dr" } } } as typeof second;
      expect(await world.operate(named)).toMatchObject({ state: "Succeeded", errors: [] });
      expect((await disable(world, "web-2")).errors).toEqual([]);
    }
  });
});
