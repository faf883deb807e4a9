import { describe, expect, it } from "vitest";
import { STREAM_LOOK_MS } from "../../replication/apply/limits.ts";
import { SLICE_MS } from "../../replication/limits.ts";
import { HEARTBEAT_RECORD, ITEM_RECORD, manifestName } from "../../replication/names.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import { decodePoint, encodePoint, readPoint, type PointTombstone } from "../../replication/points/manifest.ts";
import { wantPoint } from "../../replication/points/point-wanted.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { changeItem } from "../../replication/records/item-record.ts";
import type { HeartbeatRecord } from "../../replication/records/item.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import type { Around } from "../memory/wrapped-stores.ts";
import { missing } from "../missing.ts";
import { callNames, openOneItem, plansOf, type OneItem } from "./one-item.ts";
import { ITEM_ID, STREAM, targetDisk } from "./small-world.ts";

/** Every request takes a millisecond. */
const ticking =
  (world: OneItem): Around =>
  async (_, run) => {
    world.clock.nowMs += 1;
    return run();
  };

const epochsOf = async (world: OneItem): Promise<readonly (readonly [number, number | undefined])[]> =>
  (await world.points()).map((point) => [point.position.epoch, world.pointEpoch(point)]);

describe("recovery points", () => {
  it("rule 2: a manifest names a snapshot of every disk, position, times, skew and generation", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    await beat(world, 1);
    await world.work();
    const [point] = await world.points();
    const [epoch] = world.epochs;
    expect(point).toMatchObject({
      itemId: ITEM_ID,
      stream: 1,
      position: epoch?.end,
      sourceTimeMs: (epoch?.lastWriteMs ?? 0) + 500,
      skewMs: -40,
      targetTimeMs: world.clock.nowMs,
      consistency: "crash",
      generation: 1,
    });
    expect(point?.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes }))).toEqual(
      world.item.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
    );
    expect(await epochsOf(world)).toEqual([[1, 1]]);
  });

  it("rule 2: later deltas do not change a point", async () => {
    const world = await openOneItem(plansOf(4), 1);
    for (const epoch of [1, 2, 3, 4]) {
      await world.arrive(epoch);
      world.clock.nowMs += 1_000;
      await world.work();
    }
    expect(await epochsOf(world)).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 4],
    ]);
  });

  it("none is taken while the disks are seeded; the first delta behind it ends its batch and gives the first point", async () => {
    const seeding = { seeding: true };
    const world = await openOneItem(plansOf(5, { 1: seeding, 2: seeding }), 1);
    await world.arrive(1, 2);
    await world.work();
    expect(world.diskEpoch()).toBe(2);
    expect(await world.points()).toEqual([]);
    await world.arrive(3, 4, 5);
    await world.work();
    expect((await epochsOf(world))[0]).toEqual([3, 3]);
  });

  it("a delta that carries a consistency flag or a group mark ends its batch and gives a point at once, between interval points", async () => {
    const world = await openOneItem(
      plansOf(7, { 3: { consistency: "application" }, 5: { consistency: "file-system" }, 6: { groupMark: true } }),
    );
    await world.arrive(1, 2, 3, 4, 5, 6, 7);
    await world.work({ around: ticking(world) });
    expect(await epochsOf(world)).toEqual([
      [1, 1],
      [3, 3],
      [5, 5],
      [6, 6],
    ]);
    expect((await world.points()).map((point) => point.consistency)).toEqual([
      "crash",
      "application",
      "file-system",
      "crash",
    ]);
    expect(world.diskEpoch()).toBe(7);
  });

  it("the point of a marked delta is made up for when its worker died before taking it", async () => {
    const world = await openOneItem(plansOf(3, { 2: { consistency: "application" } }));
    await world.arrive(1, 2);
    const dies: Around = async (call, run) => {
      const progress = await world.progress();
      return call.method === "properties" && progress.applied.epoch === 2 ? new Promise(() => undefined) : run();
    };
    void world.work({ around: dies });
    await settled();
    expect((await world.progress()).applied.epoch).toBe(2);
    await world.arrive(3);
    world.clock.nowMs += 60_000;
    await world.work();
    expect(await epochsOf(world)).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect(world.diskEpoch()).toBe(3);
  });

  it("an idle VM gets points with newer source times when its service says that nothing was written", async () => {
    const world = await openOneItem(plansOf(1), 60_000);
    await world.arrive(1);
    await world.work();
    world.clock.nowMs += 60_000;
    await world.work();
    expect(await world.points()).toHaveLength(1);
    await beat(world, 1);
    await world.work();
    const points = await world.points();
    expect(points).toHaveLength(2);
    expect(points[1]?.sourceTimeMs).toBe((world.epochs[0]?.lastWriteMs ?? 0) + 500);
    await world.work();
    expect(await world.points()).toHaveLength(2);
  });

  it("rule 3: a disk that changed between its properties and its snapshot gives no point; the worker claims again and takes another", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    let disturbed = false;
    const disturb: Around = async (call, run) => {
      if (call.method === "snapshot" && !disturbed) {
        disturbed = true;
        await world.stores.disks.raiseSequenceNumber(targetDisk(world.item, call.target), 1);
      }
      return run();
    };
    expect(await world.work({ around: disturb })).toEqual({ kind: "idle" });
    const points = await world.points();
    expect(points.map((point) => point.generation)).toEqual([2]);
    expect(await epochsOf(world)).toEqual([[1, 1]]);
  });

  it("where the sweep has given up the snapshots, its tombstone keeps a late manifest out", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    const buried: Around = async (call, run) => {
      if (call.method === "create" && call.target.endsWith("manifest.json")) {
        const pointId = call.target.split("/")[1] ?? "";
        const tombstone: PointTombstone = {
          version: 1,
          kind: "tombstone",
          pointId,
          itemId: ITEM_ID,
          buriedMs: world.clock.nowMs,
        };
        await world.stores.records(ITEM_ID).create(manifestName(pointId), encodePoint(tombstone));
      }
      return run();
    };
    expect(await world.work({ around: buried })).toEqual({ kind: "idle" });
    expect(await world.points()).toEqual([]);
    expect((await world.progress()).lastPoint).toBeUndefined();
    expect(world.events.filter((event) => event.kind === "point-name-taken").length).toBeGreaterThan(0);
  });

  it("are listed oldest first, without tombstones, over any number of pages", async () => {
    const world = await openOneItem(plansOf(3), 1);
    for (const epoch of [1, 2, 3]) {
      await world.arrive(epoch);
      world.clock.nowMs += 1_000;
      await world.work();
    }
    const records = world.stores.records(ITEM_ID);
    const pages = {
      ...records,
      list: (prefix: string, _limit: number, after?: string) => records.list(prefix, 1, after),
    };
    const listed = (await listPoints(pages)).points;
    expect(listed.map((point) => point.position.epoch)).toEqual([1, 2, 3]);
    expect(await readPoint(records, listed[0]?.pointId ?? "")).toEqual(listed[0]);
  });

  it("rule 6: a damaged manifest, or one under another point's name, is not believed", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    await world.work();
    const [point] = await world.points();
    if (point === undefined) throw new Error("there is no point");
    const bytes = encodePoint(point);
    expect(decodePoint(point.pointId, bytes)).toEqual(point);
    expect(() => decodePoint("000000000000001-00000000", bytes)).toThrow(/something else/);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    expect(() => decodePoint(point.pointId, bytes)).toThrow(/checksum/);
  });
});

describe("what a run costs", () => {
  it("a warm holder lists nothing and makes at most 8 blob operations per epoch besides page writes", async () => {
    const world = await openOneItem(plansOf(12), 60_000);
    await world.arrive(1);
    let epoch = 1;
    const counts: number[] = [];
    let from = 0;
    await world.work({
      sliceMs: 10 ** 9,
      // A hint for each epoch, 5 s apart, and heartbeats meanwhile.
      awaitHint: async () => {
        counts.push(callNames(world, from).filter((name) => !/writePages|clearPages/.test(name)).length);
        from = world.calls.length;
        if (epoch === 12) {
          world.clock.nowMs += 10 ** 9;
          return false;
        }
        epoch += 1;
        world.clock.nowMs += 5_000;
        await world.arrive(epoch);
        await beat(world, epoch);
        return true;
      },
    });
    expect(world.diskEpoch()).toBe(12);
    expect(counts).toHaveLength(12);
    // The first count has the claim and the first point in it.
    expect(Math.max(...counts.slice(1))).toBeLessThanOrEqual(8);
    expect(world.calls.filter((call) => call.kind === "list")).toEqual([]);
  });

  it("a backlog is applied in few batches", async () => {
    const world = await openOneItem(plansOf(20));
    await world.arrive(...Array.from({ length: 20 }, (_, index) => index + 1));
    await world.work();
    const batches = world.events.filter((event) => event.kind === "batch-applied");
    expect(batches.map((event) => event.toEpoch)).toEqual([1, 20]);
    expect(batches[1]).toMatchObject({ putPages: 40, clearPages: 0 });
  });

  it("a batch ends at its bounds", async () => {
    const world = await openOneItem(plansOf(7));
    await world.arrive(1, 2, 3, 4, 5, 6, 7);
    await world.work({ bounds: { batchMaxDeltas: 3 } });
    expect(world.events.flatMap((event) => (event.kind === "batch-applied" ? [event.toEpoch] : []))).toEqual([1, 4, 7]);
  });

  it("a hint that came while the item was held is not lost: letting go, the holder looks once more", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1);
    let released = false;
    const hintMeanwhile: Around = async (call, run) => {
      const result = await run();
      if (!released && call.method === "replace" && (await world.progress()).holder === undefined) {
        released = true;
        await world.arrive(2);
      }
      return result;
    };
    expect(await world.work({ around: hintMeanwhile })).toEqual({ kind: "idle" });
    expect(released).toBe(true);
    expect(world.diskEpoch()).toBe(2);
  });

  it("hands on when its time is over, and lets go", async () => {
    const world = await openOneItem(plansOf(4));
    await world.arrive(1, 2, 3, 4);
    const slow: Around = async (call, run) => {
      if (call.method === "writePages") world.clock.nowMs += 1_000;
      return run();
    };
    expect(await world.work({ around: slow, sliceMs: 1_500, bounds: { batchMaxDeltas: 1 } })).toEqual({ kind: "more" });
    expect(world.diskEpoch()).toBe(1);
    expect((await world.progress()).holder).toBeUndefined();
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(4);
  });

  it("ends at the next boundary when its deadline is brought forward", async () => {
    const world = await openOneItem(plansOf(4));
    await world.arrive(1, 2, 3, 4);
    let closing = false;
    const close: Around = async (call, run) => {
      closing ||= call.method === "writePages";
      return run();
    };
    const outcome = await world.work({
      around: close,
      deadlineMs: () => (closing ? 0 : Infinity),
      bounds: { batchMaxDeltas: 1 },
    });
    expect(outcome).toEqual({ kind: "more" });
    expect(world.diskEpoch()).toBe(1);
    expect((await world.progress()).holder).toBeUndefined();
  });

  it("a point that a failover wants is taken by whoever claims the item, and by a warm holder that a hint without a delta wakes", async () => {
    const world = await openOneItem(plansOf(2));
    const records = world.stores.records(ITEM_ID);
    await world.arrive(1);
    await world.work();
    await world.arrive(2);
    await world.work();
    expect((await world.points()).map(({ position }) => position.epoch)).toEqual([1]);
    await wantPoint(records, { stream: STREAM, epoch: 2 });
    await world.work();
    await world.work();
    expect((await world.points()).map(({ position }) => position.epoch)).toEqual([1, 2]);

    const other = await openOneItem(plansOf(3));
    await other.arrive(1);
    const turns = [
      async () => other.arrive(2),
      async () => wantPoint(other.stores.records(ITEM_ID), { stream: STREAM, epoch: 2 }),
    ];
    await other.work({
      awaitHint: async () => {
        const turn = turns.shift();
        await turn?.();
        if (turn === undefined) other.clock.nowMs += SLICE_MS;
        return turn !== undefined;
      },
    });
    expect(other.events.filter(({ kind }) => kind === "point-taken")).toMatchObject([
      { epoch: 1, reason: "interval" },
      { epoch: 2, reason: "wanted" },
    ]);
  });

  it("a warm holder that hears nothing keeps its claim, and lets go at the end of its slice", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    const waits: number[] = [];
    const outcome = await world.work({
      sliceMs: 60_000,
      awaitHint: async (_, untilMs) => {
        expect((await world.progress()).expiresMs).toBeGreaterThan(world.clock.nowMs);
        waits.push(untilMs - world.clock.nowMs);
        world.clock.nowMs = untilMs;
        return false;
      },
    });
    expect(outcome).toEqual({ kind: "idle" });
    expect(waits.reduce((sum, each) => sum + each, 0)).toBe(60_000);
    expect(waits.length).toBeGreaterThan(1);
    expect((await world.progress()).holder).toBeUndefined();
  });
});

/** The service says: uploaded up to `epoch`, and nothing written for half a second after it. */
async function beat(world: OneItem, epoch: number): Promise<void> {
  const sealed = world.epochs[epoch - 1];
  if (sealed === undefined) throw new Error("no such epoch");
  const heartbeat: HeartbeatRecord = {
    version: 1,
    receivedMs: world.clock.nowMs,
    sentMs: world.clock.nowMs - 40,
    bootId: "boot-1",
    uploaded: sealed.end,
    currentAtMs: sealed.lastWriteMs + 500,
    pendingBytes: 0,
    seeding: undefined,
  };
  await world.stores.records(ITEM_ID).put(HEARTBEAT_RECORD, encodeRecord(heartbeat));
}

async function settled(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe("a holder whose stream was closed", () => {
  const close = (world: OneItem): Promise<unknown> =>
    changeItem(world.stores, ITEM_ID, (item) => ({ ...item, stream: 2, nonce: undefined }));

  it("rule 5: takes no point, though one is due at its boundary", async () => {
    const world = await openOneItem(plansOf(2), 1);
    await world.arrive(1, 2);
    let closed = false;
    const around: Around = async (call, run) => {
      // Between its claim and its first point.
      if (call.method === "writePages" && !closed) {
        closed = true;
        await close(world);
      }
      return run();
    };
    await world.work({ around });
    expect(closed).toBe(true);
    expect(await world.points()).toEqual([]);
    expect((await world.progress()).holder).toBeUndefined();
  });

  it("rule 5: applies nothing more when it is woken, and lets go", async () => {
    const world = await openOneItem(plansOf(3));
    await world.arrive(1);
    let hints = 0;
    const awaitHint = async (): Promise<boolean> => {
      hints += 1;
      await close(world);
      world.clock.nowMs += STREAM_LOOK_MS;
      await world.arrive(2, 3);
      return true;
    };
    expect(await world.work({ awaitHint })).toEqual({ kind: "idle" });
    expect(hints).toBe(1);
    expect((await world.progress()).applied.epoch).toBe(1);
    expect((await world.progress()).holder).toBeUndefined();
  });

  it("is not looked for with every batch", async () => {
    const world = await openOneItem(plansOf(6));
    await world.arrive(1);
    let next = 2;
    const awaitHint = async (): Promise<boolean> => {
      world.clock.nowMs += 1_000;
      await world.arrive(next);
      next += 1;
      return next <= 7;
    };
    await world.work({ awaitHint });
    expect((await world.progress()).applied.epoch).toBe(6);
    // At the beginning, behind the claim, and before the one point.
    expect(world.calls.filter(({ target }) => target === ITEM_RECORD)).toHaveLength(3);
  });
});

async function setSourceTime(world: OneItem, appliedSourceMs: number): Promise<void> {
  const records = world.stores.records(ITEM_ID);
  const found = (await readProgress(records)) ?? missing();
  await replaceProgress(records, found, { ...found.progress, appliedSourceMs });
}

describe("the source time of what was applied", () => {
  it("never goes back inside a stream, unless it is one that no clock can have shown", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1);
    await world.work();
    const [first, second] = world.epochs;
    expect((await world.progress()).appliedSourceMs).toBe(first?.lastWriteMs);
    await setSourceTime(world, Date.UTC(2099, 0, 1));
    await world.arrive(2);
    await world.work();
    expect((await world.progress()).appliedSourceMs).toBe(second?.lastWriteMs);
    const later = await openOneItem(plansOf(1));
    const aheadMs = later.clock.nowMs + 3_600_000;
    await setSourceTime(later, aheadMs);
    await later.arrive(1);
    await later.work();
    expect((await later.progress()).appliedSourceMs).toBe(aheadMs);
  });
});
