import { describe, expect, it } from "vitest";
import { PROLOGUE_BYTES } from "../../replication/delta/layout.ts";
import { LeewardError } from "../../replication/errors.ts";
import { CLAIM_MS, DELTA_MAX_BYTES } from "../../replication/limits.ts";
import { deltaName, journalName } from "../../replication/names.ts";
import type { Progress } from "../../replication/records/item.ts";
import { forge } from "../delta/forge.ts";
import type { Around } from "../memory/wrapped-stores.ts";
import { type OneItem, openOneItem, plansOf } from "./one-item.ts";
import { ITEM_ID, STREAM, sealEpochs } from "./small-world.ts";

const bytesOf = (world: OneItem, epoch: number): Uint8Array => world.epochs[epoch - 1]?.bytes ?? new Uint8Array();
const inCache = (world: OneItem, epoch: number, bytes: Uint8Array): Promise<void> =>
  world.stores.cache(ITEM_ID, STREAM).put(deltaName(STREAM, epoch), bytes);
const inJournal = (world: OneItem, epoch: number, bytes: Uint8Array): Promise<void> =>
  world.stores.records(ITEM_ID).put(journalName(STREAM, epoch), bytes);
const journalled = async (world: OneItem, epoch: number): Promise<Uint8Array | undefined> =>
  (await world.stores.records(ITEM_ID).read(journalName(STREAM, epoch)))?.bytes;

/** Of another history: everything up to epoch 2 is the same, epoch 3 is not. */
function otherEpoch(world: OneItem, epoch: number, differs = epoch): Uint8Array {
  const flags = { [differs]: { groupMark: true } };
  return sealEpochs(world.item, plansOf(epoch, flags))[epoch - 1]?.bytes ?? new Uint8Array();
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[40] = (copy[40] ?? 0) ^ 1;
  return copy;
}

/** Each is wrong in its own way in the place of an epoch. */
const BAD: Readonly<Record<string, (world: OneItem, epoch: number) => Uint8Array>> = {
  "delta-corrupt": (world, epoch) => flipped(bytesOf(world, epoch)),
  "delta-corrupt, only its frames": (world, epoch) =>
    forge(bytesOf(world, epoch), (view) => view.setUint8(PROLOGUE_BYTES, view.getUint8(PROLOGUE_BYTES) ^ 1)),
  "delta-foreign": (world, epoch) => bytesOf(world, epoch + 1),
  "position-fork": (world, epoch) => otherEpoch(world, epoch, 3),
  "delta-too-large": () => new Uint8Array(DELTA_MAX_BYTES + 1),
};

/** Everything of the record that a claim would change. */
const standing = ({ generation, holder, applied, intent, stopped }: Progress): object => ({
  generation,
  holder,
  applied,
  intent,
  stopped,
});

describe("rule 5: an item that cannot go on", () => {
  it.each(Object.keys(BAD))(
    "has applied every good delta before the bad one (%s), and claims nothing more",
    async (name) => {
      const world = await openOneItem(plansOf(6));
      await world.arrive(1);
      await world.work();
      await world.arrive(2, 3, 4, 6);
      world.clock.nowMs += 1;
      await inCache(world, 5, BAD[name]?.(world, 5) ?? new Uint8Array());
      expect(await world.work()).toMatchObject({ kind: "stopped", reason: { code: name.split(",")[0], facts: {} } });
      expect(world.diskEpoch()).toBe(4);
      const before = await world.progress();
      expect(before.applied).toEqual(world.epochs[3]?.end);
      // What was applied has its recovery point, though none was due.
      expect((await world.points()).map((point) => world.pointEpoch(point))).toEqual([1, 4]);
      for (let sweeps = 0; sweeps < 3; sweeps += 1) expect(await world.work()).toMatchObject({ kind: "stopped" });
      expect(standing(await world.progress())).toEqual(standing(before));
      await inCache(world, 5, bytesOf(world, 5));
      expect(await world.work()).toEqual({ kind: "idle" });
      expect(world.diskEpoch()).toBe(6);
    },
  );

  it("because the journal holds another history ahead of it, has applied what comes before, and claims nothing more", async () => {
    const world = await openOneItem(plansOf(5));
    await inJournal(world, 3, otherEpoch(world, 3));
    await world.arrive(1, 2, 3, 4, 5);
    expect(await world.work()).toMatchObject({ kind: "stopped", reason: { code: "position-fork" } });
    expect(world.diskEpoch()).toBe(2);
    const before = await world.progress();
    for (let sweeps = 0; sweeps < 3; sweeps += 1) expect(await world.work()).toMatchObject({ kind: "stopped" });
    expect(standing(await world.progress())).toEqual(standing(before));
    await world.stores.records(ITEM_ID).remove(journalName(STREAM, 3));
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(5);
  });

  it("goes on with the journal's copy when the cache's was damaged after a worker had put it there", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1);
    await inJournal(world, 2, bytesOf(world, 2));
    await inCache(world, 2, flipped(bytesOf(world, 2)));
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(2);
  });

  it("does not stop for a damaged journal entry ahead of it whose delta the cache has whole", async () => {
    const world = await openOneItem(plansOf(2));
    await inJournal(world, 2, flipped(bytesOf(world, 2)));
    await world.arrive(1, 2);
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(2);
    expect(await journalled(world, 2)).toEqual(bytesOf(world, 2));
  });
});

const forever = (): Promise<never> => new Promise(() => undefined);

/**
 * Epoch 1 is applied; the worker of the batch of 2, 3 and 4 has died among its page writes, and its claim has run out.
 */
async function inBatch(): Promise<OneItem> {
  const world = await openOneItem(plansOf(4));
  await world.arrive(1);
  await world.work();
  await world.arrive(2, 3, 4);
  let writes = 0;
  const dying: Around = async (call, run) => {
    if (call.method === "writePages" && (writes += 1) === 2) return forever();
    return run();
  };
  void world.work({ around: dying });
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  world.clock.nowMs += CLAIM_MS;
  const { applied, intent } = await world.progress();
  expect([applied.epoch, intent.epoch]).toEqual([1, 4]);
  return world;
}

describe("rule 7: a batch that was begun", () => {
  it.each([
    ["damaged", flipped],
    ["of another epoch", (_bytes: Uint8Array, world: OneItem): Uint8Array => bytesOf(world, 4)],
    ["gone", (): undefined => undefined],
  ])(
    "is finished from the cache when an entry of the journal is %s, and the journal is whole again",
    async (_name, broken) => {
      const world = await inBatch();
      const bytes = broken(bytesOf(world, 3), world);
      if (bytes === undefined) await world.stores.records(ITEM_ID).remove(journalName(STREAM, 3));
      else await inJournal(world, 3, bytes);
      expect(await world.work()).toEqual({ kind: "idle" });
      expect(world.diskEpoch()).toBe(4);
      for (const epoch of [2, 3, 4]) expect(await journalled(world, epoch)).toEqual(bytesOf(world, epoch));
    },
  );

  it.each([
    ["damaged", "delta-corrupt", flipped],
    ["of another history", "position-fork", (_bytes: Uint8Array, world: OneItem): Uint8Array => otherEpoch(world, 3)],
    ["gone", "position-gap", (): undefined => undefined],
  ])(
    "stops when an entry is %s and the cache has it no more, and goes on when it is restored",
    async (_name, code, broken) => {
      const world = await inBatch();
      for (const epoch of [2, 3, 4]) await world.stores.cache(ITEM_ID, STREAM).remove(deltaName(STREAM, epoch));
      const bytes = broken(bytesOf(world, 3), world);
      if (bytes === undefined) await world.stores.records(ITEM_ID).remove(journalName(STREAM, 3));
      else await inJournal(world, 3, bytes);
      expect(await world.work()).toMatchObject({ kind: "stopped", reason: { code } });
      const before = await world.progress();
      for (let sweeps = 0; sweeps < 3; sweeps += 1) expect(await world.work()).toMatchObject({ kind: "stopped" });
      expect(standing(await world.progress())).toEqual(standing(before));
      expect(await world.points()).toHaveLength(1);
      // Restored from the account's soft delete.
      await inJournal(world, 3, bytesOf(world, 3));
      expect(await world.work()).toEqual({ kind: "idle" });
      expect(world.diskEpoch()).toBe(4);
    },
  );

  it("is finished as it was begun, whatever lies in the cache by then", async () => {
    const world = await inBatch();
    await inCache(world, 2, otherEpoch(world, 2));
    await world.stores.cache(ITEM_ID, STREAM).remove(deltaName(STREAM, 3));
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(4);
    expect(await journalled(world, 2)).toEqual(bytesOf(world, 2));
  });

  it("never takes another history from the cache: nothing is written, and the journal stays as it is", async () => {
    const world = await inBatch();
    const damaged = flipped(bytesOf(world, 4));
    await inJournal(world, 4, damaged);
    await inCache(world, 4, otherEpoch(world, 4));
    const writes = world.calls.length;
    expect(await world.work()).toMatchObject({ kind: "stopped" });
    expect(world.calls.slice(writes).map(({ method }) => method)).not.toContain("writePages");
    expect(await journalled(world, 4)).toEqual(damaged);
    const before = await world.progress();
    expect(await world.work()).toMatchObject({ kind: "stopped" });
    expect(standing(await world.progress())).toEqual(standing(before));
    await inCache(world, 4, bytesOf(world, 4));
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(4);
    expect(await journalled(world, 4)).toEqual(bytesOf(world, 4));
  });

  it("goes on from the cache when that can be asked again", async () => {
    const world = await inBatch();
    await inJournal(world, 3, flipped(bytesOf(world, 3)));

    const away: Around = async (call, run) => {
      if (call.port === "cache") throw new LeewardError("store-unavailable", "the region is away");
      return run();
    };
    for (let sweeps = 0; sweeps < 2; sweeps += 1) {
      expect(await world.work({ around: away })).toMatchObject({ kind: "stopped", reason: { code: "delta-corrupt" } });
    }
    expect((await world.progress()).generation).toBe(3);
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(4);
  });
});
