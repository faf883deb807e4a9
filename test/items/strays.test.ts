import { describe, expect, it } from "vitest";
import { protectItem } from "../../replication/items/protect.ts";
import { type ManagedItem, ensureManaged } from "../../replication/jobs/managed-item.ts";
import { STRAYS_MAX_COUNT } from "../../replication/limits.ts";
import { journalName, manifestName } from "../../replication/names.ts";
import { encodePoint, makePointId } from "../../replication/points/manifest.ts";
import { readItem } from "../../replication/records/item-record.ts";
import { UNPROTECTED, type Situation } from "../../replication/states/decide.ts";
import { removeStrays } from "../../replication/sweep/remove-strays.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { removeItem } from "../memory/memory-stores.ts";
import { planOf } from "../planning/samples.ts";
import {
  DISKS,
  ITEM,
  START,
  START_MS,
  type World,
  addPoint,
  applyChain,
  deltaChain,
  progressOf,
  protectedWorld,
} from "./world.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What flows know of the item: without a plan, that it was never enabled by one. */
async function manage(world: World, situation: Situation, plan: ManagedItem["plan"]): Promise<void> {
  await ensureManaged(world.stores, {
    version: 1,
    itemId: ITEM,
    situation,
    running: undefined,
    sourceVmId: "/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1",
    options: { targetRegion: "northeurope" },
    policy: undefined,
    plan,
  });
}

/** An item that was disabled by a flow, or whose flow is in this situation. */
async function disabledWorld(situation: Situation = UNPROTECTED): Promise<World> {
  const world = await protectedWorld();
  await removeItem(world.stores, ITEM);
  await manage(world, situation, planOf());
  return world;
}

/**
 * The records that an item that replicates, perhaps with a recovery point, loses when it is swept while its managed
 * record calls it unprotected.
 */
async function lostByLiving(plan: ManagedItem["plan"], hasPoint: boolean): Promise<readonly string[]> {
  const world = await protectedWorld();
  const chain = deltaChain(1);
  await applyChain(world, chain);
  if (hasPoint) await addPoint(world, chain[0]?.end ?? START, {});
  // What is swept in any case goes before.
  await sweepItem(world.context, ITEM);
  const living = world.recordNames(ITEM);
  await manage(world, UNPROTECTED, plan);
  await sweepItem(world.context, ITEM);
  expect(await world.stores.listStreams(ITEM, "target")).toEqual([1]);
  return living.filter((name) => !world.recordNames(ITEM).includes(name));
}

describe("what lands after an item was disabled", () => {
  it("goes with the next whole sweep: records, disks and deltas; what tells of the item stays", async () => {
    const world = await disabledWorld();
    await world.stores.records(ITEM).put("events.json", bytes("late"));
    await world.stores.createContainers(ITEM, 1);
    await world.stores.disks.create({ itemId: ITEM, stream: 1, diskId: "os" }, 1024);
    await world.stores.cache(ITEM, 1).put("a", bytes("delta"));
    const lasting = world.recordNames(ITEM).filter((name) => name !== "events.json");
    expect(await sweepItem(world.context, ITEM, "hints")).toBeUndefined();
    expect(world.recordNames(ITEM)).toContain("events.json");
    expect(await sweepItem(world.context, ITEM)).toBeUndefined();
    expect(world.recordNames(ITEM)).toEqual(lasting);
    expect(await world.stores.listStreams(ITEM, "target")).toEqual([]);
    expect(await world.stores.listStreams(ITEM, "cache")).toEqual([]);
  });

  it("rule 2: is nothing of an item that no flow has disabled: its managed record is being made anew", async () => {
    for (const hasPoint of [true, false]) expect(await lostByLiving(undefined, hasPoint)).toEqual([]);
  });

  it("rule 2: is no recovery point whose disks stand, whatever a managed record of before says", async () => {
    expect(await lostByLiving(planOf(), true)).toEqual([]);
  });

  it("rule 2: is no such point either when more records than one look shows stand before its manifest", async () => {
    const world = await protectedWorld();
    const chain = deltaChain(1);
    await applyChain(world, chain);
    const point = await addPoint(world, chain[0]?.end ?? START, {});
    for (let epoch = 2; epoch <= STRAYS_MAX_COUNT + 1; epoch += 1)
      await world.stores.records(ITEM).put(journalName(1, epoch), bytes("entry"));
    await manage(world, UNPROTECTED, planOf());
    expect(await removeStrays(world.stores, ITEM)).toBe(0);
    expect(world.recordNames(ITEM)).toEqual(expect.arrayContaining(["item.json", manifestName(point.pointId)]));
    expect(await world.stores.listStreams(ITEM, "target")).toEqual([1]);
  });

  it("is a tombstone, whose disks go: nothing can be recovered from it", async () => {
    const world = await disabledWorld();
    const pointId = makePointId(START_MS, "late");
    const tombstone = { version: 1, kind: "tombstone", pointId, itemId: ITEM, buriedMs: START_MS } as const;
    await world.stores.records(ITEM).put(manifestName(pointId), encodePoint(tombstone));
    await world.stores.createContainers(ITEM, 1);
    await world.stores.disks.create({ itemId: ITEM, stream: 1, diskId: "os" }, 1024);
    await sweepItem(world.context, ITEM);
    expect(world.recordNames(ITEM)).not.toContain(manifestName(pointId));
    expect(await world.stores.listStreams(ITEM, "target")).toEqual([]);
  });

  it("is nobody's any more when protecting the machine again has taken it over, before the removal or in it", async () => {
    for (const before of [1, 2, 3]) {
      const world = await disabledWorld();
      // What a repeated activity made, whose flow had ended: an item of its own, whole.
      await protectItem(world.context, { itemId: ITEM, disks: DISKS, policy: undefined });
      const inner = world.stores;
      let removals = 0;
      const remove = async (itemId: string, name: string, etag?: string): Promise<void> => {
        removals += 1;
        if (removals === before) await protectItem(world.context, { itemId: ITEM, disks: DISKS, policy: undefined });
        await inner.records(itemId).remove(name, etag);
      };
      const records: World["stores"]["records"] = (itemId) => ({
        ...inner.records(itemId),
        remove: (name, etag) => remove(itemId, name, etag),
      });
      await removeStrays({ ...inner, records }, ITEM);
      const { item } = await readItem(inner, ITEM);
      expect((await progressOf(world)).stream).toBe(item.stream);
      const disks = item.disks.map(({ id }) =>
        inner.disks.properties({ itemId: ITEM, stream: item.stream, diskId: id }),
      );
      expect(await Promise.all(disks)).not.toContain(undefined);
      expect(await inner.listStreams(ITEM, "cache")).toContain(item.stream);
    }
  });

  it("is made anew by who protects the machine again while a sweep removes it", async () => {
    const world = await disabledWorld();
    const request = { itemId: ITEM, disks: DISKS, policy: undefined };
    const before = (await protectItem(world.context, request)).item;
    const inner = world.stores;
    const properties: typeof inner.disks.properties = async (disk) => {
      const found = await inner.disks.properties(disk);
      await removeStrays(inner, ITEM);
      return found;
    };
    const stores = { ...inner, disks: { ...inner.disks, properties } };
    const { item } = await protectItem({ ...world.context, stores }, request);
    expect(item.stream).toBeGreaterThan(before.stream);
    expect((await readItem(inner, ITEM)).item).toEqual(item);
    expect(await inner.listStreams(ITEM, "target")).toEqual([item.stream]);
  });

  it("stays while a job runs, and of a life that begins meanwhile nothing is touched", async () => {
    const busy = await disabledWorld({ ...UNPROTECTED, job: { flow: "enable-protection", jobId: "job" } });
    await busy.stores.records(ITEM).put("events.json", bytes("late"));
    await sweepItem(busy.context, ITEM);
    expect(busy.recordNames(ITEM)).toContain("events.json");

    const world = await disabledWorld();
    await world.stores.records(ITEM).put("heartbeat.json", bytes("late"));
    const inner = world.stores;
    let looks = 0;
    const stores: World["stores"] = {
      ...inner,
      management: (itemId) => ({
        ...inner.management(itemId),
        // The next life begins between the look and the removal.
        read: async (name, maxBytes) => {
          const stored = await inner.management(itemId).read(name, maxBytes);
          looks += name === "managed.json" ? 1 : 0;
          if (name === "managed.json" && looks === 2) {
            await inner.records(itemId).put("heartbeat.json", bytes("of the next life"));
            await inner.createContainers(itemId, 2);
            await inner.disks.create({ itemId, stream: 2, diskId: "os" }, 1024);
          }
          return stored;
        },
      }),
    };
    await sweepItem({ ...world.context, stores }, ITEM);
    const kept = await inner.records(ITEM).read("heartbeat.json");
    expect(kept && new TextDecoder().decode(kept.bytes)).toBe("of the next life");
    expect(await inner.listStreams(ITEM, "target")).toEqual([2]);
    expect(await inner.listStreams(ITEM, "cache")).toEqual([2]);
  });
});
