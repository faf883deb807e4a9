import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { OLD_STREAM_KEEP_MS, STREAM_MAX } from "../../replication/limits.ts";
import { ITEM_RECORD, STREAMS_RECORD } from "../../replication/names.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { decodeRecord, encodeRecord } from "../../replication/records/envelope.ts";
import { findItem, readItem } from "../../replication/records/item-record.ts";
import { closeStream, mintStream, startOf, type StreamsRecord } from "../../replication/records/streams.ts";
import { settleEpoch } from "../../replication/service/settle.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { removeItem } from "../memory/memory-stores.ts";
import { wrapStores } from "../memory/wrapped-stores.ts";
import { killedEverywhere } from "./interrupted.ts";
import {
  DISKS,
  ITEM,
  ITEM_TOKEN,
  type World,
  addPoint,
  beat,
  createWorld,
  progressOf,
  protectedWorld,
  setProgress,
  upload,
} from "./world.ts";

const PROTECT = { itemId: ITEM, disks: DISKS, policy: undefined };
const damage = {
  "is lost": (world: World) => world.stores.management(ITEM).remove(STREAMS_RECORD),
  "is damaged": (world: World) =>
    world.stores.management(ITEM).put(STREAMS_RECORD, new TextEncoder().encode('{"sha256":"00"}')),
  "is of another version": (world: World) =>
    world.stores.management(ITEM).put(STREAMS_RECORD, encodeRecord({ version: 2, itemId: ITEM, last: 0 })),
  "is another item's": (world: World) =>
    world.stores.management(ITEM).put(STREAMS_RECORD, encodeRecord({ version: 1, itemId: "db", last: 0 })),
};

async function lastOf(world: World): Promise<number> {
  const stored = await world.stores.management(ITEM).read(STREAMS_RECORD);
  return decodeRecord<StreamsRecord>(STREAMS_RECORD, 1, stored?.bytes ?? new Uint8Array()).last;
}

describe("stream numbers", () => {
  it("rise from life to life", async () => {
    const world = createWorld();
    const used: number[] = [];
    for (let life = 0; life < 4; life += 1) {
      used.push((await protectItem(world.context, PROTECT)).item.stream);
      await removeItem(world.stores, ITEM);
    }
    expect(used).toEqual([1, 2, 3, 4]);
  });

  it("minted at one moment differ", async () => {
    const world = createWorld();
    const minted = await Promise.all(Array.from({ length: 5 }, () => mintStream(world.stores, ITEM)));
    expect(new Set(minted).size).toBe(5);
  });

  it.each(Object.entries(damage))("are above all that left a trace when their record %s", async (_what, harm) => {
    const world = createWorld();
    for (let count = 0; count < 6; count += 1) await mintStream(world.stores, ITEM);
    const { item } = await protectItem(world.context, PROTECT);
    await harm(world);
    expect(await mintStream(world.stores, ITEM)).toBe(item.stream + 1);
    expect(await lastOf(world)).toBe(item.stream + 1);
  });

  it("can be made again with a damaged item and an unreachable cache account", async () => {
    const world = createWorld();
    for (let count = 0; count < 6; count += 1) await mintStream(world.stores, ITEM);
    const { item } = await protectItem(world.context, PROTECT);
    await world.stores.records(ITEM).put(ITEM_RECORD, new Uint8Array([1]));
    await damage["is lost"](world);
    const stores: ItemStores = {
      ...world.stores,
      listStreams: async (itemId, place) => {
        if (place === "cache") throw new LeewardError("store-unavailable", "The region is gone.");
        return world.stores.listStreams(itemId, place);
      },
    };
    expect(await mintStream(stores, ITEM)).toBe(item.stream + 1);
  });

  it("of two requests at one moment one makes the item, and the records agree", async () => {
    const world = createWorld();
    const answers = await Promise.all([protectItem(world.context, PROTECT), protectItem(world.context, PROTECT)]);
    const { item } = await readItem(world.stores, ITEM);
    expect(answers.map((answer) => answer.item)).toEqual([item, item]);
    expect(answers.filter(({ registrationToken }) => registrationToken !== undefined)).toHaveLength(1);
    expect((await progressOf(world)).applied).toEqual(startOf(item));
  });

  it("what a disabling left of the progress record is no progress of the next life", async () => {
    const world = await protectedWorld();
    const lastPoint = { pointId: "p", stream: 1, epoch: 9, targetTimeMs: world.context.clock.now(), sourceTimeMs: 0 };
    await setProgress(world, { generation: 7, lastPoint });
    const left = await world.stores.records(ITEM).read("progress.json");
    await removeItem(world.stores, ITEM);
    await world.stores.records(ITEM).put("progress.json", left?.bytes ?? new Uint8Array());
    world.pass(1);
    const { item } = await protectItem(world.context, PROTECT);
    expect(await progressOf(world)).toMatchObject({ stream: item.stream, generation: 7, applied: startOf(item) });
    expect((await progressOf(world)).lastPoint).toBeUndefined();
  });
});

describe("a stream that was closed", () => {
  it("takes no registration, no heartbeat and no settling, and is followed by a number that nobody opens", async () => {
    const world = await protectedWorld();
    await beat(world);
    await closeStream(world.context, ITEM, STREAM_MAX);
    const { item } = await readItem(world.stores, ITEM);
    expect([item.stream, item.nonce]).toEqual([2, undefined]);
    await expect(beat(world)).rejects.toMatchObject({ code: "stream-closed" });
    const settle = { sessionId: "session", stream: 1, epoch: 1, checksum: "00".repeat(32) };
    await expect(settleEpoch(world.context, ITEM, ITEM_TOKEN, settle)).rejects.toMatchObject({ code: "stream-closed" });
    await closeStream(world.context, ITEM, STREAM_MAX);
    expect((await readItem(world.stores, ITEM)).item.stream).toBe(2);
  });

  it("killed at any await, closing again closes it", async () => {
    await killedEverywhere(
      () => protectedWorld(),
      (world) => world.stores,
      (world, stores) => closeStream({ ...world.context, stores }, ITEM, STREAM_MAX),
      async (world) => {
        await closeStream(world.context, ITEM, STREAM_MAX);
        expect((await findItem(world.stores, ITEM))?.item.nonce).toBeUndefined();
      },
    );
  });
});

describe("what is left of earlier streams", () => {
  async function twoStreams(): Promise<World> {
    const world = await protectedWorld();
    await upload(world, 1, new Uint8Array(1));
    await closeStream(world.context, ITEM, STREAM_MAX);
    return world;
  }
  const left = async ({ stores }: World) => [
    await stores.listStreams(ITEM, "target"),
    await stores.listStreams(ITEM, "cache"),
  ];

  it("goes when no grant and no worker of it can be left, and not before", async () => {
    const world = await twoStreams();
    world.pass(OLD_STREAM_KEEP_MS);
    expect(await sweepItem(world.context, ITEM)).toMatchObject({ removedContainers: 0 });
    expect(await left(world)).toEqual([[1], [1]]);
    world.pass(1);
    expect(await sweepItem(world.context, ITEM)).toMatchObject({ removedContainers: 2 });
    expect(await left(world)).toEqual([[], []]);
  });

  it("keeps the disks for as long as a recovery point needs them", async () => {
    const world = await twoStreams();
    await addPoint(world, startOf({ itemId: ITEM, stream: 1, disks: DISKS, nonce: "00" }));
    world.pass(OLD_STREAM_KEEP_MS + 1);
    expect(await sweepItem(world.context, ITEM)).toMatchObject({ removedContainers: 1 });
    expect(await left(world)).toEqual([[1], []]);
  });

  it("keeps the disks of the open stream, and what a request is about to announce", async () => {
    const world = await protectedWorld();
    await mintStream(world.stores, ITEM);
    await world.stores.createContainers(ITEM, 2);
    world.pass(OLD_STREAM_KEEP_MS + 1);
    await sweepItem(world.context, ITEM);
    expect(await left(world)).toEqual([[1], [1, 2]]);
  });

  it("goes from the target account when the cache account is unreachable", async () => {
    const world = await twoStreams();
    world.pass(OLD_STREAM_KEEP_MS + 1);
    const stores: ItemStores = {
      ...world.stores,
      listStreams: async (itemId, place) => {
        if (place === "cache") throw new LeewardError("store-unavailable", "The region is gone.");
        return world.stores.listStreams(itemId, place);
      },
    };
    expect(await sweepItem({ ...world.context, stores }, ITEM)).toMatchObject({ removedContainers: 1 });
  });
});

describe("closing a stream", () => {
  it("that sleeps past the item's life leaves the stream of the next one open", async () => {
    const world = await protectedWorld();
    let asleep = true;
    const stores = wrapStores(world.stores, async ({ method, target }, run) => {
      const result = await run();
      if (asleep && method === "replace" && target === STREAMS_RECORD) {
        asleep = false;
        await removeItem(world.stores, ITEM);
        await protectItem(world.context, PROTECT);
      }
      return result;
    });
    await expect(closeStream({ ...world.context, stores }, ITEM, STREAM_MAX)).rejects.toMatchObject({
      code: "conflict",
    });
    const { item } = await readItem(world.stores, ITEM);
    expect([item.nonce === undefined, item.stream]).toEqual([false, await lastOf(world)]);
  });
});
