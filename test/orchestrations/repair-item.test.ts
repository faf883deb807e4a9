import { describe, expect, it } from "vitest";
import { repairItem } from "../../orchestrations/repair-item.ts";
import { putPolicy } from "../../replication/items/policy-records.ts";
import { changeManaged } from "../../replication/jobs/managed-item.ts";
import { ITEM_RECORD, PROGRESS_RECORD } from "../../replication/names.ts";
import { readOverview } from "../../replication/operations/overview.ts";
import { reconcileFlow } from "../../replication/operations/request.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import { findItem, readItem } from "../../replication/records/item-record.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import { damages } from "../memory/damages.ts";
import { type FlowWorld, enable, failover, flowWorld, plainOperation, protectedWorld } from "./world.ts";

const ITEM = "web-1";

const bytesOf = async (world: FlowWorld, name: string): Promise<Uint8Array> =>
  (await world.stores.records(ITEM).read(name))?.bytes ?? new Uint8Array();
const damage = (world: FlowWorld, name: string, bytes: Uint8Array = new Uint8Array([1])): Promise<void> =>
  world.stores.records(ITEM).put(name, bytes);
const pointIds = async (world: FlowWorld): Promise<readonly string[]> =>
  (await listPoints(world.stores.records(ITEM))).points.map(({ pointId }) => pointId);
const installs = (world: FlowWorld): number =>
  world.resourceManager.requests.filter((request) => /^begin put .*extensions/.test(request)).length;

async function passUntilRegistered(world: FlowWorld): Promise<void> {
  for (let looks = 0; looks < 5 && (await readItem(world.stores, ITEM)).item.tokenHash === undefined; looks += 1)
    await world.pass(1_000);
}

describe("a repair of a machine whose item.json is damaged", () => {
  it("makes it anew in a new stream, keeps the points, and installs the service again, which replicates", async () => {
    const sample = await protectedWorld();
    for (const bytes of damages(await bytesOf(sample, ITEM_RECORD), 6)) {
      const world = await protectedWorld();
      const { item: before } = await readItem(world.stores, ITEM);
      const [point = ""] = await pointIds(world);
      await world.pass(60_000);
      await damage(world, ITEM_RECORD, bytes);
      const repair = await repairItem(world.context, ITEM, "operator-1");
      const { item } = await readItem(world.stores, ITEM);
      expect([item.disks, item.policy, item.repair]).toEqual([before.disks, before.policy, repair]);
      expect(item.stream).toBe(before.stream + 1);
      await passUntilRegistered(world);
      expect(installs(world)).toBe(2);
      const after = await readOverview(world.context, ITEM);
      expect(after).toMatchObject({ damaged: undefined, status: { applied: { stream: item.stream, epoch: 1 } } });
      expect(await pointIds(world)).toEqual([point, expect.any(String)]);
      // The same request again begins nothing.
      expect(await repairItem(world.context, ITEM, "operator-1")).toMatchObject({ id: repair.id });
      expect((await readItem(world.stores, ITEM)).item.stream).toBe(item.stream);
      expect(installs(world)).toBe(2);
    }
  });

  it("leaves points to fail over to before the service has come back, and an item to disable", async () => {
    for (const asked of [failover(), plainOperation("DisableProtection")]) {
      const world = await protectedWorld();
      // The sweep has stored that initial replication is complete.
      await reconcileFlow(world.context, ITEM, { start: async () => undefined, stateOf: async () => undefined });
      await damage(world, ITEM_RECORD);
      await repairItem(world.context, ITEM);
      expect((await world.operate(asked)).errors).toEqual([]);
    }
  });

  it("brings back an item whose progress is damaged too", async () => {
    const world = await protectedWorld();
    for (const name of [ITEM_RECORD, PROGRESS_RECORD]) await damage(world, name);
    await repairItem(world.context, ITEM);
    await passUntilRegistered(world);
    expect(await readOverview(world.context, ITEM)).toMatchObject({
      damaged: undefined,
      status: { stopped: undefined },
    });
    expect((await world.operate(failover())).errors).toEqual([]);
  });

  it("gives it the policy that the machine was protected with", async () => {
    const world = flowWorld();
    await putPolicy(world.context, "gold", { crashConsistentFrequencyInMinutes: 10 });
    await world.operate({ ...enable(), policyName: "gold" } as ReturnType<typeof enable>);
    await damage(world, ITEM_RECORD);
    await repairItem(world.context, ITEM);
    expect((await readItem(world.stores, ITEM)).item).toMatchObject({
      policyName: "gold",
      policy: { pointIntervalMs: 600_000 },
    });
  });

  it("is possible in initial replication too, which cannot go on by itself", async () => {
    const world = await protectedWorld();
    await changeManaged(world.stores, ITEM, (managed) => ({
      ...managed,
      situation: { ...managed.situation, state: "InitialReplicationInProgress" },
    }));
    const before = await readItem(world.stores, ITEM);
    await world.stores.records(ITEM).remove(PROGRESS_RECORD);
    await damage(world, ITEM_RECORD);
    await repairItem(world.context, ITEM);
    expect((await readItem(world.stores, ITEM)).item.stream).toBeGreaterThan(before.item.stream);
  });

  it("goes on where it broke off: a crash at any request, and the same request again", async () => {
    let left = Number.POSITIVE_INFINITY;
    for (let calls = 0; ; calls += 1) {
      const world = await protectedWorld({
        around: async (_call, run) => {
          left -= 1;
          if (left < 0) throw new Error("The process ended.");
          return run();
        },
      });
      await damage(world, ITEM_RECORD);
      left = calls;
      const isDone = await repairItem(world.context, ITEM, "operator-1").then(
        () => true,
        () => false,
      );
      left = Number.POSITIVE_INFINITY;
      await repairItem(world.context, ITEM, "operator-1").catch(() => undefined);
      await passUntilRegistered(world);
      const { item } = await readItem(world.stores, ITEM);
      expect([item.tokenHash, item.repair]).not.toContain(undefined);
      expect(await pointIds(world)).toHaveLength(2);
      if (isDone) return;
    }
  });

  it("brings no item back that was disabled meanwhile", async () => {
    let meanwhile: (() => Promise<unknown>) | undefined;
    const world = await protectedWorld({
      around: async ({ method, target }, run) => {
        const now = meanwhile;
        if (now !== undefined && method === "read" && target === "streams.json") {
          meanwhile = undefined;
          await now();
        }
        return run();
      },
    });
    await damage(world, ITEM_RECORD);
    const before = installs(world);
    meanwhile = async () => {
      expect((await world.operate(plainOperation("DisableProtection"))).errors).toEqual([]);
    };
    await expect(repairItem(world.context, ITEM)).rejects.toMatchObject({ code: "item-unknown" });
    expect([await findItem(world.stores, ITEM), installs(world)]).toEqual([undefined, before]);
  });

  it("installs nothing in a machine whose disabling has begun meanwhile", async () => {
    let meanwhile: (() => Promise<unknown>) | undefined;
    const world = await protectedWorld({
      around: async ({ method, target }, run) => {
        const now = meanwhile;
        if (now !== undefined && method === "read" && target === "streams.json") {
          meanwhile = undefined;
          await now();
        }
        return run();
      },
    });
    await damage(world, ITEM_RECORD);
    const before = installs(world);
    meanwhile = () => world.ask(plainOperation("DisableProtection"));
    await expect(repairItem(world.context, ITEM)).rejects.toMatchObject({ code: "operation-not-allowed" });
    expect(installs(world)).toBe(before);
  });

  it("makes a lost ledger anew first, so that disabling still finds everything", async () => {
    const world = await protectedWorld();
    const whole = (await readLedger(world.stores, ITEM)).entries.map(({ id }) => id).toSorted();
    await damage(world, ITEM_RECORD);
    await world.stores.management(ITEM).remove("ledger.json");
    await repairItem(world.context, ITEM);
    expect((await readLedger(world.stores, ITEM)).entries.map(({ id }) => id).toSorted()).toEqual(whole);
  });

  it("does the same when it installs for an item that it had remade before", async () => {
    const world = await protectedWorld();
    const whole = (await readLedger(world.stores, ITEM)).entries.map(({ id }) => id).toSorted();
    await damage(world, ITEM_RECORD);
    world.resourceManager.fail({ on: "read", times: 1, id: "extensions", with: { kind: "unavailable" } });
    await expect(repairItem(world.context, ITEM, "operator-1")).rejects.toMatchObject({ code: "azure-unavailable" });
    await world.stores.management(ITEM).remove("ledger.json");
    await repairItem(world.context, ITEM, "operator-1");
    expect((await readLedger(world.stores, ITEM)).entries.map(({ id }) => id).toSorted()).toEqual(whole);
  });

  it("says so while Azure is busy with the extension, and installs when it is asked again", async () => {
    const world = await protectedWorld();
    await damage(world, ITEM_RECORD);
    world.resourceManager.fail({ on: "begin", change: "put", id: "extensions", times: 1, with: { kind: "busy" } });
    await expect(repairItem(world.context, ITEM, "operator-1")).rejects.toMatchObject({ code: "conflict" });
    await repairItem(world.context, ITEM, "operator-1");
    await passUntilRegistered(world);
    expect((await readItem(world.stores, ITEM)).item.tokenHash).toBeDefined();
  });

  it("names the policy when that is damaged too", async () => {
    const world = flowWorld();
    await putPolicy(world.context, "gold", {});
    await world.operate({ ...enable(), policyName: "gold" } as ReturnType<typeof enable>);
    await damage(world, ITEM_RECORD);
    await world.context.control.put("policies/gold.json", new Uint8Array([1]));
    await expect(repairItem(world.context, ITEM)).rejects.toMatchObject({
      code: "record-corrupt",
      facts: { name: "policies/gold.json" },
    });
  });

  it("says so where it shows the damage; without a plan it is for who protected the disks", async () => {
    const world = await protectedWorld();
    await damage(world, ITEM_RECORD);
    expect((await readOverview(world.context, ITEM)).damaged?.hint).toContain("repairReplication");
    await changeManaged(world.stores, ITEM, (managed) => ({ ...managed, plan: undefined }));
    expect((await readOverview(world.context, ITEM)).damaged?.hint).toContain("protect the same disks again");
    await expect(repairItem(world.context, ITEM)).rejects.toMatchObject({ code: "record-corrupt" });
    expect(await findItem(world.stores, ITEM).catch(() => "damaged")).toBe("damaged");
  });

  it("of an item that is whole it is a repair as before: nothing is installed, and Azure need not answer", async () => {
    const world = await protectedWorld();
    world.resourceManager.fail({ on: "read", times: 9, with: { kind: "unavailable" } });
    const before = await readItem(world.stores, ITEM);
    await repairItem(world.context, ITEM);
    const { item } = await readItem(world.stores, ITEM);
    expect([item.stream, item.tokenHash, installs(world)]).toEqual([before.item.stream + 1, before.item.tokenHash, 1]);
  });
});
