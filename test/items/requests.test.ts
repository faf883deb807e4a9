import { describe, expect, it } from "vitest";
import { protectItem } from "../../replication/items/protect.ts";
import { readItemStatus } from "../../replication/items/status.ts";
import { requestAppPoint } from "../../replication/service/app-point.ts";
import { killedEverywhere } from "./interrupted.ts";
import { DISKS, HOUR_MS, ITEM, ITEM_TOKEN, type World, applyChain, beat, deltaChain, protectedWorld } from "./world.ts";

describe("resynchronization", () => {
  it("what the source misses by its own account is required, and critical", async () => {
    const world = await protectedWorld();
    await applyChain(world, deltaChain(1));
    await beat(world, { resynchronization: { state: "required", reason: "spool-full", doneBytes: 0, totalBytes: 9 } });
    const { resyncRequired, replicationHealth, healthErrors } = await readItemStatus(world.context, ITEM);
    expect({ resyncRequired, replicationHealth }).toEqual({ resyncRequired: true, replicationHealth: "Critical" });
    expect(healthErrors).toMatchObject([
      { code: "resynchronization-required", message: expect.stringContaining("spool-full") },
    ]);
  });

  it("a service that uploads nothing more says so, and that is critical", async () => {
    const world = await protectedWorld();
    await applyChain(world, deltaChain(1));
    await beat(world, { uploadsStopped: { code: "position-fork", message: "The cache holds another delta." } });
    const { replicationHealth, healthErrors } = await readItemStatus(world.context, ITEM);
    expect(replicationHealth).toBe("Critical");
    expect(healthErrors).toMatchObject([
      { code: "uploads-stopped", hint: expect.stringContaining("repairReplication") },
    ]);
  });
});

describe("app-consistent points", () => {
  const POLICY = { pointIntervalMs: 300_000, retentionMs: 24 * HOUR_MS, appConsistentIntervalMs: HOUR_MS };
  const replicating = async (policy = POLICY): Promise<World> => {
    const world = await protectedWorld(policy);
    await applyChain(world, deltaChain(1));
    return world;
  };
  const asked = async (world: World, changes: Parameters<typeof beat>[1] = {}): Promise<string | undefined> =>
    (await beat(world, changes)).consistency?.requestId;
  const shown = async (world: World) => (await readItemStatus(world.context, ITEM)).appConsistentPoint;

  it("P20: the policy asks for one, again and again until its outcome is reported, and for the next after the interval", async () => {
    const world = await replicating();
    const first = (await asked(world)) ?? "";
    expect(first).toMatch(/^[0-9a-f]{32}$/);
    expect(await asked(world)).toBe(first);
    expect(await shown(world)).toMatchObject({ requestId: first, state: "InProgress" });
    expect(await asked(world, { consistency: { requestId: "another", state: "done" } })).toBe(first);
    expect(await asked(world, { consistency: { requestId: first, state: "done" } })).toBeUndefined();
    expect(await shown(world)).toMatchObject({ state: "Succeeded", reason: undefined });
    world.pass(HOUR_MS - 1);
    expect(await asked(world, { consistency: { requestId: first, state: "done" } })).toBeUndefined();
    world.pass(1);
    expect(await asked(world)).not.toBe(first);
  });

  it("P20: never without a policy, which is the default", async () => {
    const { appConsistentIntervalMs: _none, ...policy } = POLICY;
    const world = await protectedWorld(policy);
    await applyChain(world, deltaChain(1));
    expect(await asked(world)).toBeUndefined();
    expect(await shown(world)).toBeUndefined();
  });

  it("P21: an operator's request comes at once, whatever the policy; the same request again asks for nothing more", async () => {
    const world = await replicating();
    await beat(world, { consistency: { requestId: (await asked(world)) ?? "", state: "done" } });
    const requestId = await requestAppPoint(world.context, ITEM, "operator-1");
    expect(await shown(world)).toMatchObject({ requestId, state: "Requested" });
    expect(await asked(world)).toBe(requestId);
    const failed = { requestId, state: "failed", reason: "--pre ended with exit code 3" } as const;
    expect(await asked(world, { consistency: failed })).toBeUndefined();
    expect(await shown(world)).toMatchObject({ state: "Failed", reason: failed.reason });
    expect((await readItemStatus(world.context, ITEM)).healthErrors).toMatchObject([
      { code: "app-consistent-point-failed" },
    ]);
    expect(await requestAppPoint(world.context, ITEM, "operator-1")).toBe(requestId);
    expect(await asked(world)).toBeUndefined();
    world.pass(HOUR_MS);
    const periodic = (await asked(world)) ?? "";
    expect(await asked(world, { consistency: { requestId: periodic, state: "done" } })).toBeUndefined();
    expect(await asked(world)).toBeUndefined();
  });

  it("P22: nothing is frozen where no point can come of it", async () => {
    const world = await protectedWorld(POLICY);
    await requestAppPoint(world.context, ITEM);
    // The target is no image yet.
    expect(await asked(world)).toBeUndefined();
    await applyChain(world, deltaChain(1));
    expect(await asked(world, { seeding: { doneBytes: 0, totalBytes: 1 } })).toBeUndefined();
    const resynchronization = { state: "required", reason: "x", doneBytes: 0, totalBytes: 0 } as const;
    expect(await asked(world, { resynchronization })).toBeUndefined();
    expect(await asked(world)).toBeDefined();
  });

  it("P23: killed at any await, one point is asked for, and no second one", async () => {
    const kills = await killedEverywhere(
      replicating,
      (world) => world.stores,
      (world, stores) => beat(world, {}, ITEM_TOKEN, stores),
      async (world) => {
        const requestId = (await asked(world)) ?? "";
        expect(await asked(world)).toBe(requestId);
        expect(await asked(world, { consistency: { requestId, state: "done" } })).toBeUndefined();
      },
    );
    expect(kills).toBeGreaterThan(6);
  });

  it("are asked for every hour at most, and a policy may be changed", async () => {
    const world = await replicating();
    const protect = (appConsistentIntervalMs: number): Promise<unknown> =>
      protectItem(world.context, { itemId: ITEM, disks: DISKS, policy: { ...POLICY, appConsistentIntervalMs } });
    for (const intervalMs of [1, HOUR_MS - 1, 25 * HOUR_MS, -1, Number.NaN]) {
      await expect(protect(intervalMs)).rejects.toMatchObject({ facts: { field: "policy.appConsistentIntervalMs" } });
    }
    await protect(0);
    expect(await asked(world)).toBeUndefined();
    await protect(4 * HOUR_MS);
    expect(await asked(world)).toBeDefined();
  });
});
