import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import {
  CLAIM_MS,
  DELTA_MAX_BYTES,
  GAP_MAX_MS,
  SWEEP_CACHE_MAX_CHANGES,
  SWEEP_CACHE_MAX_NAMES,
} from "../../replication/limits.ts";
import { HEARTBEAT_RECORD, deltaName, journalName } from "../../replication/names.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { startPosition } from "../../replication/position.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { changeItem } from "../../replication/records/item-record.ts";
import { readHeartbeat } from "../../replication/service/heartbeat.ts";
import { type CacheSweep, sweepCache } from "../../replication/sweep/sweep-cache.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { killedEverywhere } from "./interrupted.ts";
import {
  DISKS,
  HOUR_MS,
  ITEM,
  START,
  START_MS,
  type World,
  applyChain,
  beat,
  createWorld,
  deltaChain,
  progressOf,
  protectedWorld,
  setProgress,
  upload,
} from "./world.ts";

const chain = deltaChain(6);
const bytesOf = (epoch: number): Uint8Array => chain[epoch - 1]?.bytes ?? new Uint8Array();
const sweep = (world: World): Promise<CacheSweep> => sweepCache(world.context, ITEM);
const NOTHING = { hints: [], quarantined: 0, removed: 0, stopped: undefined, cacheFailure: undefined, more: false };

describe("rule 5: the sweep finds what no event announced", () => {
  it("nothing to do gives no hint, and a missing item no error", async () => {
    const world = await protectedWorld();
    expect(await sweep(world)).toEqual(NOTHING);
    expect(await sweepItem(world.context, "nobody")).toBeUndefined();
    const half = createWorld();
    await half.stores.createContainers(ITEM, 1);
    expect(await sweepItem(half.context, ITEM)).toBeUndefined();
  });

  it("the next delta is here", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 2));
    await upload(world, 3, bytesOf(3));
    expect(await sweep(world)).toEqual({ ...NOTHING, hints: ["next-delta", "point-due"] });
  });

  it("a living holder needs no hint, a dead one does", async () => {
    const world = await protectedWorld();
    await upload(world, 1, bytesOf(1));
    await setProgress(world, { holder: "worker", generation: 1, expiresMs: world.context.clock.now() + CLAIM_MS });
    expect((await sweep(world)).hints).toEqual([]);
    world.pass(CLAIM_MS);
    expect((await sweep(world)).hints).toEqual(["next-delta", "holder-gone"]);
  });

  it("a batch was begun and let go", async () => {
    const world = await protectedWorld();
    await setProgress(world, { intent: chain[1]?.end ?? (await progressOf(world)).intent });
    expect((await sweep(world)).hints).toEqual(["batch-begun"]);
  });

  it("a point is due for an idle item, once its service says that nothing was written since", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 1));
    expect((await sweep(world)).hints).toEqual(["point-due"]);
    const lastPoint = { pointId: "p", stream: 1, epoch: 1, targetTimeMs: START_MS, sourceTimeMs: START_MS + 1 };
    await setProgress(world, { lastPoint });
    expect((await sweep(world)).hints).toEqual([]);
    world.pass(HOUR_MS);
    expect((await sweep(world)).hints).toEqual([]);
    const nowMs = world.context.clock.now();
    const uploaded = (await progressOf(world)).applied;
    const beat = {
      version: 1,
      receivedMs: nowMs,
      sentMs: nowMs,
      bootId: "b",
      uploaded,
      currentAtMs: nowMs,
      pendingBytes: 0,
    };
    await world.stores.records(ITEM).put(HEARTBEAT_RECORD, encodeRecord(beat));
    expect((await sweep(world)).hints).toEqual(["point-due"]);
  });

  it("a stopped item is looked at again when something stands in the place of the next delta: its event may be lost", async () => {
    const world = await protectedWorld();
    const stopped = { code: "delta-corrupt", message: "", hint: "", facts: {}, atMs: START_MS };
    await setProgress(world, { stopped });
    expect((await sweep(world)).hints).toEqual([]);
    await upload(world, 1, bytesOf(1));
    expect((await sweep(world)).hints).toEqual(["next-delta"]);
    await world.stores.cache(ITEM, 1).remove(deltaName(1, 1));
    await world.stores.records(ITEM).put(journalName(1, 1), bytesOf(1));
    expect((await sweep(world)).hints).toEqual(["next-delta"]);
    // The entry of the journal that was damaged may have been restored, wherever in the batch it lies.
    await setProgress(world, { intent: chain[1]?.end ?? (await progressOf(world)).intent });
    expect((await sweep(world)).hints).toEqual(["batch-begun"]);
  });
});

describe("a later delta without the next one", () => {
  it("stops the item after a while with a clear state, and only once", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 1));
    await setProgress(world, {
      lastPoint: { pointId: "p", stream: 1, epoch: 1, targetTimeMs: START_MS, sourceTimeMs: START_MS + 10 },
    });
    await upload(world, 3, bytesOf(3));
    world.pass(GAP_MAX_MS);
    expect(await sweep(world)).toEqual(NOTHING);
    world.pass(1);
    const { stopped } = await sweep(world);
    expect(stopped).toMatchObject({ code: "position-gap", facts: { stream: 1, expected: 2, found: 3 } });
    expect((await progressOf(world)).stopped).toEqual(stopped);
    expect(await sweep(world)).toEqual(NOTHING);
    expect(world.cacheNames(ITEM)).toEqual([deltaName(1, 3)]);
  });

  it("is told of an epoch that was uploaded and is gone, though an idle machine sends no later one", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 1));
    await setProgress(world, {
      lastPoint: { pointId: "p", stream: 1, epoch: 1, targetTimeMs: START_MS, sourceTimeMs: START_MS + 10 },
    });
    await beat(world, { uploaded: chain[0]?.end ?? START });
    expect(await sweep(world)).toEqual(NOTHING);
    await upload(world, 2, bytesOf(2));
    await beat(world, { uploaded: chain[1]?.end ?? START });
    expect(await sweep(world)).toMatchObject({ hints: ["next-delta"], stopped: undefined });
    await world.stores.cache(ITEM, 1).remove(deltaName(1, 2));
    // A worker died when it had put it into the journal: nobody else wakes the next one.
    await world.stores.records(ITEM).put(journalName(1, 2), bytesOf(2));
    expect(await sweep(world)).toMatchObject({ hints: ["next-delta"], stopped: undefined });
    await world.stores.records(ITEM).remove(journalName(1, 2));
    expect((await sweep(world)).stopped).toMatchObject({
      code: "position-gap",
      facts: { stream: 1, expected: 2, uploaded: 2 },
    });
    expect((await beat(world, { uploaded: chain[1]?.end ?? START })).resend).toEqual({ epoch: 2 });
    // It came again.
    await upload(world, 2, bytesOf(2));
    expect((await sweep(world)).hints).toEqual(["next-delta"]);
  });

  it("is not told of an epoch that came since the listing", async () => {
    const world = await protectedWorld();
    let hasCome = false;
    const records: ItemStores["records"] = (itemId) => {
      const inner = world.stores.records(itemId);
      const read: typeof inner.read = async (name, maxBytes) => {
        if (name === HEARTBEAT_RECORD && !hasCome) {
          hasCome = true;
          await upload(world, 1, bytesOf(1));
          await beat(world, { uploaded: chain[0]?.end ?? START });
        }
        return inner.read(name, maxBytes);
      };
      return { ...inner, read };
    };
    const { stopped } = await sweepCache({ ...world.context, stores: { ...world.stores, records } }, ITEM);
    expect([hasCome, stopped]).toEqual([true, undefined]);
  });

  it("is not told of what a service uploaded that has not heard of the open stream yet", async () => {
    const world = await protectedWorld();
    const start = startPosition(ITEM, 1, DISKS, "f".repeat(32));
    await beat(world, { start, uploaded: { ...start, epoch: 7 } });
    expect((await readHeartbeat(world.stores, ITEM))?.uploaded.epoch).toBe(7);
    expect((await sweep(world)).stopped).toBeUndefined();
  });

  it("is no gap while someone works, while the journal has it, or behind the final delta", async () => {
    const world = await protectedWorld();
    await upload(world, 2, bytesOf(2));
    world.pass(GAP_MAX_MS + 1);
    await setProgress(world, { holder: "w", generation: 1, expiresMs: world.context.clock.now() + 1 });
    expect((await sweep(world)).stopped).toBeUndefined();
    await setProgress(world, { holder: undefined, final: true });
    expect((await sweep(world)).stopped).toBeUndefined();
    await setProgress(world, { final: false });
    await world.stores.records(ITEM).put(journalName(1, 1), bytesOf(1));
    expect(await sweep(world)).toMatchObject({ hints: ["next-delta"], stopped: undefined });
    await world.stores.records(ITEM).remove(journalName(1, 1));
    expect((await sweep(world)).stopped?.code).toBe("position-gap");
  });

  it("rule 3: progress that a worker changed since the look is not overwritten", async () => {
    const world = await protectedWorld();
    await upload(world, 2, bytesOf(2));
    world.pass(GAP_MAX_MS + 1);
    const inner = world.stores.cache(ITEM, 1);
    const stores: ItemStores = {
      ...world.stores,
      cache: () => ({
        ...inner,
        list: async (...given) => {
          const listed = await inner.list(...given);
          await setProgress(world, {
            holder: "worker",
            generation: 1,
            expiresMs: world.context.clock.now() + CLAIM_MS,
          });
          return listed;
        },
      }),
    };
    expect((await sweepCache({ ...world.context, stores }, ITEM)).stopped).toBeUndefined();
    expect(await progressOf(world)).toMatchObject({ holder: "worker", generation: 1 });
    expect((await progressOf(world)).stopped).toBeUndefined();
  });
});

describe("what does not belong into the cache container", () => {
  it("is quarantined with its reason, and nothing is lost", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 3));
    const cache = world.stores.cache(ITEM, 1);
    const reasons = new Map<string, string>();
    const stores: ItemStores = {
      ...world.stores,
      quarantine: async (itemId, stream, name, reason) => {
        reasons.set(name, reason);
        await world.stores.quarantine(itemId, stream, name, reason);
      },
    };
    await cache.put("hello.txt", new Uint8Array([1]));
    await cache.put(deltaName(1, 0), new Uint8Array([2]));
    await cache.put(deltaName(0, 5), new Uint8Array([3]));
    await cache.put(deltaName(2, 1), new Uint8Array([4]));
    await cache.put(deltaName(1, 9), new Uint8Array(DELTA_MAX_BYTES + 1));
    await cache.put(deltaName(1, 2), deltaChain(2, 100)[1]?.bytes ?? new Uint8Array());
    await cache.put(deltaName(1, 3), new Uint8Array([5]));
    const before = world.cacheNames(ITEM);
    // The memory store's own quarantine cannot read blobs above the limit; the port moves any blob whole.
    const oversized = deltaName(1, 9);
    const moved: ItemStores = {
      ...stores,
      quarantine: async (itemId, stream, name, reason) => {
        if (name !== oversized) return stores.quarantine(itemId, stream, name, reason);
        reasons.set(name, reason);
        await cache.remove(name);
      },
    };
    const found = await sweepCache({ ...world.context, stores: moved }, ITEM);
    expect(found).toMatchObject({ quarantined: 7, removed: 0, more: false });
    expect(world.cacheNames(ITEM)).toEqual([]);
    expect([...reasons.keys()].toSorted()).toEqual(before);
    expect(reasons.get("hello.txt")).toContain("delta-foreign");
    expect(reasons.get(deltaName(0, 5))).toContain("stream 0 is closed");
    expect(reasons.get(deltaName(2, 1))).toContain("never announced");
    expect(reasons.get(oversized)).toContain("delta-too-large");
    expect(reasons.get(deltaName(1, 2))).toContain("position-fork");
    expect(reasons.get(deltaName(1, 3))).toContain("delta-corrupt");
    expect(await world.quarantined(ITEM)).toHaveLength(6);
  });

  it("rule 4: an oversized blob that settling has replaced by the real delta since the listing is left alone", async () => {
    const world = await protectedWorld();
    const cache = world.stores.cache(ITEM, 1);
    await cache.put(deltaName(1, 1), new Uint8Array(DELTA_MAX_BYTES + 1));
    const stores: ItemStores = {
      ...world.stores,
      cache: () => ({
        ...cache,
        list: async (...given) => {
          const listed = await cache.list(...given);
          await upload(world, 1, bytesOf(1));
          return listed;
        },
      }),
    };
    expect(await sweepCache({ ...world.context, stores }, ITEM)).toMatchObject({
      quarantined: 0,
      removed: 0,
      hints: ["next-delta"],
    });
    expect(world.cacheNames(ITEM)).toEqual([deltaName(1, 1)]);
  });

  it("rule 4: an oversized blob that settling replaces by the real delta after the look is left alone", async () => {
    const world = await protectedWorld();
    const cache = world.stores.cache(ITEM, 1);
    await cache.put(deltaName(1, 1), new Uint8Array(DELTA_MAX_BYTES + 1));
    const stores: ItemStores = {
      ...world.stores,
      quarantine: async (...given) => {
        await upload(world, 1, bytesOf(1));
        await world.stores.quarantine(...given);
      },
    };
    await sweepCache({ ...world.context, stores }, ITEM);
    expect(world.cacheNames(ITEM)).toEqual([deltaName(1, 1)]);
    expect(await world.quarantined(ITEM)).toEqual([]);
  });

  it.each(["conflict", "store-refused", "outcome-unknown"] as const)(
    "a blob that cannot be moved (%s) is reported, and hides nothing",
    async (code) => {
      const world = await protectedWorld();
      const cache = world.stores.cache(ITEM, 1);
      await upload(world, 1, bytesOf(1));
      for (const name of ["a-leased", "b"]) await cache.put(name, new Uint8Array([1]));
      const stores: ItemStores = {
        ...world.stores,
        quarantine: async (itemId, stream, name, ...given) => {
          if (name === "a-leased") throw new LeewardError(code, "There is a lease on the blob.", { name });
          await world.stores.quarantine(itemId, stream, name, ...given);
        },
      };
      const found = await sweepCache({ ...world.context, stores }, ITEM);
      expect(found).toMatchObject({ hints: ["next-delta"], cacheFailure: { code, facts: { name: "a-leased" } } });
      // An account that does not answer is not asked for every blob again.
      expect(world.cacheNames(ITEM).includes("b")).toBe(code === "outcome-unknown");
    },
  );

  it("rule 4: applied deltas are removed once the journal has them, or had them before it was trimmed, and never before", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 5));
    for (const epoch of [1, 2, 3, 4, 5]) await upload(world, epoch, bytesOf(epoch));
    const records = world.stores.records(ITEM);
    for (const epoch of [1, 3, 4]) await records.remove(journalName(1, epoch));
    // Epochs 3 and 4 are missing in the middle of the journal: the cache has their only copies. What comes behind 4
    // shows that it was applied.
    expect(await sweep(world)).toMatchObject({ removed: 4, quarantined: 0 });
    expect(world.cacheNames(ITEM)).toEqual([deltaName(1, 3)]);
    expect((await records.read(journalName(1, 4)))?.bytes).toEqual(bytesOf(4));
    expect(await sweep(world)).toMatchObject({ removed: 1, quarantined: 0 });
    expect((await records.read(journalName(1, 3)))?.bytes).toEqual(bytesOf(3));
  });

  it("rule 6: a damaged journal entry of what was applied is made anew from the cache, and only from what was applied", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 4));
    const records = world.stores.records(ITEM);
    const damaged = bytesOf(2).map((byte, at) => (at === 60 ? byte ^ 1 : byte));
    for (const epoch of [1, 2, 4]) await records.put(journalName(1, epoch), damaged);
    await upload(world, 1, bytesOf(1));
    await upload(world, 2, bytesOf(2));
    // Of another history: it ends where nothing that was applied begins.
    await upload(world, 4, deltaChain(4, 100)[3]?.bytes ?? new Uint8Array());
    expect(await sweep(world)).toMatchObject({ removed: 1, quarantined: 0 });
    expect((await records.read(journalName(1, 2)))?.bytes).toEqual(bytesOf(2));
    expect((await records.read(journalName(1, 4)))?.bytes).toEqual(damaged);
    await sweep(world);
    expect((await records.read(journalName(1, 1)))?.bytes).toEqual(bytesOf(1));
    expect(world.cacheNames(ITEM)).toEqual([deltaName(1, 4)]);
  });

  it("a holder that is just removing its own deltas is not disturbed", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 1));
    await upload(world, 1, bytesOf(1));
    await setProgress(world, { holder: "w", generation: 1, expiresMs: world.context.clock.now() + 1 });
    expect((await sweep(world)).removed).toBe(0);
  });

  it("what a source still sends after its stream was closed is kept as evidence, and nothing of a stream to come", async () => {
    const world = await protectedWorld();
    await upload(world, 1, bytesOf(1), 1);
    await upload(world, 1, bytesOf(1), 2);
    await world.stores.cache(ITEM, 1).put("hello.txt", new Uint8Array([1]));
    await changeItem(world.stores, ITEM, (item) => ({ ...item, stream: 2 }));
    expect(await sweep(world)).toEqual({ ...NOTHING, quarantined: 2 });
    expect(world.cacheNames(ITEM)).toEqual([deltaName(2, 1)]);
    expect(await sweep(world)).toEqual(NOTHING);
  });

  it("a stream that was announced after the sweep began is not foreign", async () => {
    const world = await protectedWorld();
    await upload(world, 1, bytesOf(1), 2);
    const inner = world.stores.records(ITEM);
    let announced = false;
    const stores: ItemStores = {
      ...world.stores,
      cache: (itemId) => {
        const cache = world.stores.cache(itemId, 1);
        return {
          ...cache,
          list: async (...given) => {
            const listed = await cache.list(...given);
            if (!announced) await changeItem(world.stores, ITEM, (item) => ({ ...item, stream: 2 }));
            announced = true;
            return listed;
          },
        };
      },
      records: () => inner,
    };
    expect(await sweepCache({ ...world.context, stores }, ITEM)).toEqual(NOTHING);
    expect(await world.quarantined(ITEM)).toEqual([]);
  });

  it("rule 9: a container full of rubbish is cleaned a bounded piece at a time, and a backlog hides nothing behind it", async () => {
    const world = await protectedWorld();
    const cache = world.stores.cache(ITEM, 1);
    for (let at = 0; at < SWEEP_CACHE_MAX_CHANGES + 2; at += 1)
      await cache.put(`rubbish-${String(at).padStart(3, "0")}`, new Uint8Array(1));
    for (let epoch = 1; epoch <= SWEEP_CACHE_MAX_NAMES; epoch += 1)
      await cache.put(deltaName(1, epoch), new Uint8Array(1));
    expect(await sweep(world)).toMatchObject({
      quarantined: SWEEP_CACHE_MAX_CHANGES,
      more: true,
      hints: ["next-delta"],
    });
    expect(await sweep(world)).toMatchObject({ quarantined: 2, more: false, hints: ["next-delta"] });
    expect(world.cacheNames(ITEM)).toHaveLength(SWEEP_CACHE_MAX_NAMES);
  });

  it("applied deltas that could not be removed do not hide the next one behind them", async () => {
    const world = await protectedWorld();
    const applied = { stream: 1, epoch: SWEEP_CACHE_MAX_NAMES + 50, checksum: "0".repeat(64) };
    await setProgress(world, { applied, intent: applied });
    const cache = world.stores.cache(ITEM, 1);
    for (let epoch = 1; epoch <= applied.epoch + 1; epoch += 1) await cache.put(deltaName(1, epoch), new Uint8Array(1));
    expect((await sweep(world)).hints).toContain("next-delta");
  });

  it("rule 10: killed at any await and run again, everything is where it belongs", async () => {
    const kills = await killedEverywhere(
      async () => {
        const world = await protectedWorld();
        await applyChain(world, chain.slice(0, 2));
        await upload(world, 2, bytesOf(2));
        await world.stores.cache(ITEM, 1).put("rubbish", new Uint8Array(1));
        return world;
      },
      (world) => world.stores,
      (world, stores) => sweepCache({ ...world.context, stores }, ITEM),
      async (world) => {
        await sweep(world);
        await sweep(world);
        expect(world.cacheNames(ITEM)).toEqual([]);
        expect(await world.quarantined(ITEM)).toHaveLength(1);
      },
    );
    expect(kills).toBeGreaterThan(10);
  });
});

describe("rule 7: with the source region gone", () => {
  function withoutCache(world: World): ItemStores {
    const gone = async (): Promise<never> => {
      throw new LeewardError("store-unavailable", "The cache account cannot be reached.");
    };
    return {
      ...world.stores,
      cache: () => ({ read: gone, create: gone, replace: gone, put: gone, remove: gone, list: gone }),
    };
  }

  it("a batch that was begun, a delta that only the journal has and a due point still wake a worker", async () => {
    const world = await protectedWorld();
    const context = { ...world.context, stores: withoutCache(world) };
    expect(await sweepCache(context, ITEM)).toMatchObject({ hints: [], cacheFailure: { code: "store-unavailable" } });
    await world.stores.records(ITEM).put(journalName(1, 1), bytesOf(1));
    expect((await sweepCache(context, ITEM)).hints).toEqual(["next-delta"]);
    await setProgress(world, { intent: chain[0]?.end ?? (await progressOf(world)).intent });
    expect((await sweepCache(context, ITEM)).hints).toEqual(["batch-begun"]);
    await applyChain(world, chain.slice(0, 1));
    expect((await sweepCache(context, ITEM)).hints).toEqual(["point-due"]);
  });

  it("retention goes on", async () => {
    const world = await protectedWorld();
    const summary = await sweepItem({ ...world.context, stores: withoutCache(world) }, ITEM);
    expect(summary).toMatchObject({
      cache: { cacheFailure: { code: "store-unavailable" } },
      points: { removedPoints: [] },
    });
  });
});
