import { describe, expect, it } from "vitest";
import type { ApplyContext } from "../../replication/apply/context.ts";
import { applySlice } from "../../replication/apply/run.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { readItemStatus } from "../../replication/items/status.ts";
import { OLD_STREAM_KEEP_MS, STREAM_MAX } from "../../replication/limits.ts";
import { PROGRESS_RECORD } from "../../replication/names.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import type { Position } from "../../replication/position.ts";
import { readItem } from "../../replication/records/item-record.ts";
import type { StopReason } from "../../replication/records/item.ts";
import { closeStream, startOf } from "../../replication/records/streams.ts";
import { restoreSlice } from "../../replication/restore/slice.ts";
import { startRestore } from "../../replication/restore/start.ts";
import { requestRepair } from "../../replication/service/repair.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { killedEverywhere } from "./interrupted.ts";
import {
  DISKS,
  HOUR_MS,
  ITEM,
  ITEM_TOKEN,
  START,
  START_MS,
  type World,
  beat,
  deltaChain,
  progressOf,
  protectedWorld,
  setProgress,
  upload,
} from "./world.ts";

const work = (world: World, more: Partial<ApplyContext> = {}) =>
  applySlice({ ...world.context, ...worker(world), ...more }, ITEM);
const worker = (world: World) => ({
  timer: { pause: async () => undefined },
  holder: "worker",
  deadlineMs: world.context.clock.now() + 60_000,
  log: () => undefined,
});

/** The delta that follows, with one sector of `fill`. */
function deltaAfter(start: Position, fill: number, seeding = false) {
  const times = { firstWriteMs: START_MS + start.epoch, lastWriteMs: START_MS + start.epoch };
  const flags = { consistency: "crash", seeding, final: false, groupMark: false } as const;
  const header = { itemId: ITEM, stream: start.stream, epoch: start.epoch + 1, ...times, start, disks: DISKS, flags };
  return encodeDelta(header, [{ kind: "data", disk: 0, offsetBytes: 512, bytes: new Uint8Array(512).fill(fill) }]);
}

async function send(world: World, delta: ReturnType<typeof deltaAfter>): Promise<Position> {
  await upload(world, delta.end.epoch, delta.bytes, delta.end.stream);
  return delta.end;
}

/** Replicates, with a recovery point of its first epoch. */
async function replicating(): Promise<World> {
  const world = await protectedWorld();
  await beat(world);
  await send(world, deltaAfter(START, 1));
  await work(world);
  expect((await listPoints(world.stores.records(ITEM))).points).toHaveLength(1);
  world.pass(HOUR_MS);
  return world;
}

const stopped = (code: string): StopReason => ({ code, message: code, hint: "", facts: {}, atMs: START_MS });
const startNow = async (world: World): Promise<Position> => startOf((await readItem(world.stores, ITEM)).item);
const repairOf = async (world: World) => (await readItemStatus(world.context, ITEM)).repair?.state;

/** The service takes the new stream up, seeds it with one epoch and goes on; the worker does its part. */
async function seedAgain(world: World): Promise<Position> {
  const start = await startNow(world);
  expect((await beat(world)).start).toEqual(start);
  await beat(world, { start, uploaded: start });
  const seeded = await send(world, deltaAfter(start, 2, true));
  const end = await send(world, deltaAfter(seeded, 3));
  expect(await work(world)).toEqual({ kind: "idle" });
  expect((await progressOf(world)).applied).toEqual(end);
  await beat(world, { start, uploaded: end });
  return end;
}

describe("repairReplication", () => {
  it("P18: opens a new stream, of which the service hears, and is done when the target is an image again", async () => {
    const world = await replicating();
    const { id, state } = await requestRepair(world.context, ITEM, "operator-1");
    expect([id.length, state]).toEqual([32, "requested"]);
    const { item } = await readItem(world.stores, ITEM);
    expect(item.stream).toBe(2);
    // A word about the stream before is none about this one.
    const answer = await beat(world, { uploaded: { ...START, epoch: 1 } });
    expect(answer).toMatchObject({ stream: 2, start: startOf(item), applied: startOf(item) });
    expect(answer.upload.containerUrl).toContain(`/${ITEM}-2?`);
    expect(await readItemStatus(world.context, ITEM)).toMatchObject({
      stage: "resynchronizing",
      repair: { state: "requested" },
      initialReplicationPercentage: 0,
    });
    await beat(world, { start: startOf(item), uploaded: startOf(item), seeding: { doneBytes: 1, totalBytes: 2 } });
    expect(await readItemStatus(world.context, ITEM)).toMatchObject({
      stage: "resynchronizing",
      repair: { state: "running" },
      initialReplicationPercentage: 50,
    });
    await seedAgain(world);
    expect(await readItemStatus(world.context, ITEM)).toMatchObject({ stage: "protected", repair: { state: "done" } });
  });

  it("P18: the points of before stay, can be restored while the new stream seeds, and their disks go when retention has let them go", async () => {
    const world = await replicating();
    const [before] = (await listPoints(world.stores.records(ITEM))).points;
    if (before === undefined) throw new Error("there is a point");
    await requestRepair(world.context, ITEM);
    expect((await readItemStatus(world.context, ITEM)).lastRecoveryPoint?.pointId).toBe(before.pointId);
    const { restoreId } = await startRestore(world.context, ITEM, before.pointId);
    await restoreSlice(world.context, ITEM, restoreId);
    expect(world.memory.restoredContent({ itemId: ITEM, restoreId, diskId: "data" })?.[512]).toBe(1);
    world.pass(OLD_STREAM_KEEP_MS + 1);
    await sweepItem(world.context, ITEM);
    expect(await world.stores.listStreams(ITEM, "target")).toEqual([1, 2]);
    expect(await world.stores.listStreams(ITEM, "cache")).toEqual([2]);
    await seedAgain(world);
    // A window full of new points.
    for (let passedMs = 0; passedMs <= 25 * HOUR_MS; passedMs += HOUR_MS / 4) {
      world.pass(HOUR_MS / 4);
      await beat(world, {
        start: await startNow(world),
        uploaded: (await progressOf(world)).applied,
        currentAtMs: world.context.clock.now(),
      });
      await work(world);
    }
    for (let sweeps = 0; sweeps < 4; sweeps += 1) await sweepItem(world.context, ITEM);
    await sweepItem(world.context, ITEM);
    await sweepItem(world.context, ITEM);
    expect((await listPoints(world.stores.records(ITEM))).points.map(({ stream }) => stream)).not.toContain(1);
    expect(await world.stores.listStreams(ITEM, "target")).toEqual([2]);
  });

  it.each(["delta-corrupt", "delta-foreign", "delta-too-large", "delta-unsupported", "position-fork", "position-gap"])(
    "P18: ends a stop by %s, between batches and inside one",
    async (code) => {
      for (const torn of [false, true]) {
        const world = await replicating();
        const [, second] = deltaChain(2);
        await setProgress(world, {
          stopped: stopped(code),
          ...(torn && second !== undefined ? { intent: second.end } : {}),
        });
        expect((await work(world)).kind).toBe("stopped");
        await requestRepair(world.context, ITEM);
        expect((await readItemStatus(world.context, ITEM)).stopped).toBeUndefined();
        await seedAgain(world);
        expect(await readItemStatus(world.context, ITEM)).toMatchObject({
          stage: "protected",
          repair: { state: "done" },
        });
      }
    },
  );

  it.each([
    ["is gone", (world: World) => world.stores.records(ITEM).remove(PROGRESS_RECORD)],
    ["is damaged", (world: World) => world.stores.records(ITEM).put(PROGRESS_RECORD, new Uint8Array([123, 125]))],
  ])("P18: gives up a progress record that %s, and nothing else does", async (_what, harm) => {
    const world = await replicating();
    await harm(world);
    await expect(beat(world)).rejects.toMatchObject({ code: "record-corrupt" });
    await expect(protectItem(world.context, { itemId: ITEM, disks: DISKS, policy: undefined })).rejects.toMatchObject({
      code: "record-corrupt",
    });
    await requestRepair(world.context, ITEM, "one");
    await seedAgain(world);
    // Damaged once more: the same request, sent again, opens yet another stream.
    await harm(world);
    await requestRepair(world.context, ITEM, "one");
    expect((await seedAgain(world)).stream).toBe(3);
  });

  it("rule 3: a worker that is warm writes nothing more once the new stream is open", async () => {
    const world = await replicating();
    const looks: string[] = [];
    let generation = 0;
    const outcome = await work(world, {
      awaitHint: async () => {
        looks.push("warm");
        if (looks.length > 1) return false;
        ({ generation } = await progressOf(world));
        await requestRepair(world.context, ITEM);
        await send(world, deltaAfter(deltaAfter(START, 1).end, 9));
        return true;
      },
    });
    expect(outcome).toEqual({ kind: "fenced" });
    expect(await progressOf(world)).toMatchObject({ stream: 2, seeding: true });
    // Generations only rise, in all streams of an item together.
    expect((await progressOf(world)).generation).toBe(generation);
    await seedAgain(world);
    expect((await progressOf(world)).generation).toBeGreaterThan(generation);
  });

  it("P19: the same request is the same repair, whatever came since; another one waits until it is done", async () => {
    const world = await replicating();
    const first = await requestRepair(world.context, ITEM, "one");
    expect(await requestRepair(world.context, ITEM, "one")).toEqual(first);
    await expect(requestRepair(world.context, ITEM, "two")).rejects.toMatchObject({
      code: "conflict",
      facts: { repair: first.id },
    });
    await expect(requestRepair(world.context, ITEM)).rejects.toMatchObject({ code: "conflict" });
    await seedAgain(world);
    expect(await requestRepair(world.context, ITEM, "one")).toMatchObject({ id: first.id, state: "done" });
    const second = await requestRepair(world.context, ITEM, "two");
    expect(second.id).not.toBe(first.id);
    expect(await requestRepair(world.context, ITEM, "one")).toMatchObject({ id: first.id, state: "done" });
    expect((await readItem(world.stores, ITEM)).item.stream).toBe(3);
    await expect(requestRepair(world.context, ITEM, "x".repeat(129))).rejects.toMatchObject({
      code: "invalid-request",
    });
    await expect(requestRepair(world.context, "nobody", "x")).rejects.toMatchObject({ code: "item-unknown" });
  });

  it("P19: another one need not wait when this one has stopped too, at the target or at the source", async () => {
    const world = await replicating();
    await requestRepair(world.context, ITEM, "one");
    await setProgress(world, { stopped: stopped("delta-corrupt") });
    await requestRepair(world.context, ITEM, "two");
    // What the service says of the stream before says nothing of this one.
    const uploadsStopped = { code: "position-fork", message: "another delta" };
    await beat(world, { uploadsStopped });
    expect((await readItemStatus(world.context, ITEM)).healthErrors).toEqual([]);
    await expect(requestRepair(world.context, ITEM, "three")).rejects.toMatchObject({ code: "conflict" });
    const start = await startNow(world);
    await beat(world, { start, uploaded: start, uploadsStopped });
    await requestRepair(world.context, ITEM, "three");
    expect((await seedAgain(world)).stream).toBe(4);
  });

  it("of two requests at one moment one opens the stream; the same one twice is one", async () => {
    const world = await replicating();
    const [one, other] = await Promise.allSettled([
      requestRepair(world.context, ITEM, "one"),
      requestRepair(world.context, ITEM, "other"),
    ]);
    expect([one.status, other.status].toSorted()).toEqual(["fulfilled", "rejected"]);
    await seedAgain(world);
    const [same, again] = await Promise.all([
      requestRepair(world.context, ITEM, "same"),
      requestRepair(world.context, ITEM, "same"),
    ]);
    expect(again).toEqual(same);
    await seedAgain(world);
  });

  it("is refused for an item that was failed over", async () => {
    const world = await replicating();
    await closeStream(world.context, ITEM, STREAM_MAX);
    await expect(requestRepair(world.context, ITEM)).rejects.toMatchObject({ code: "stream-closed" });
  });

  it("killed at any await, the request can be repeated, and the item replicates", async () => {
    const kills = await killedEverywhere(
      replicating,
      (world) => world.stores,
      (world, stores) => requestRepair({ ...world.context, stores }, ITEM, "one"),
      async (world) => {
        await beat(world, {}, ITEM_TOKEN);
        await requestRepair(world.context, ITEM, "one");
        await seedAgain(world);
        expect(await repairOf(world)).toBe("done");
      },
    );
    expect(kills).toBeGreaterThan(20);
  });

  it("killed at any await, the next heartbeat finishes what was announced", async () => {
    await killedEverywhere(
      replicating,
      (world) => world.stores,
      (world, stores) => requestRepair({ ...world.context, stores }, ITEM, "one"),
      async (world) => {
        const { item } = await readItem(world.stores, ITEM);
        expect(await beat(world)).toMatchObject({ start: startOf(item) });
        expect((await progressOf(world)).stream).toBe(item.stream);
      },
    );
  });
});
