import { describe, expect, it } from "vitest";
import { OLD_STREAM_KEEP_MS, ORPHAN_GRACE_MS, POINT_SETTLE_MS, TOMBSTONE_MS } from "../../replication/limits.ts";
import { PROGRESS_RECORD, manifestName, pinsName } from "../../replication/names.ts";
import { listPoints, readCatalog } from "../../replication/points/catalog.ts";
import { type PointManifest, encodePoint, makePointId, readPoint } from "../../replication/points/manifest.ts";
import { pinPoint, readPins } from "../../replication/points/pins.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { changeItem } from "../../replication/records/item-record.ts";
import { startRestore } from "../../replication/restore/start.ts";
import { type SweepSummary, sweepItem } from "../../replication/sweep/sweep.ts";
import {
  DISKS,
  HOUR_MS,
  ITEM,
  START,
  type World,
  addPoint,
  pointsWithSnapshots,
  protectedWorld,
  snapshotOf,
} from "../items/world.ts";
import { missing } from "../missing.ts";

const LATEST_ONLY = { pointIntervalMs: 300_000, retentionMs: 0 };
const at = (epoch: number): typeof START => ({ ...START, epoch });

async function sweep(world: World, stores = world.stores): Promise<SweepSummary> {
  return (await sweepItem({ ...world.context, stores }, ITEM)) ?? missing();
}

async function damage(world: World, name: string): Promise<void> {
  await world.rawRecords(ITEM).put(name, new Uint8Array([1, 2, 3]));
}

const pointIds = async (world: World): Promise<readonly string[]> =>
  (await listPoints(world.stores.records(ITEM))).points.map(({ pointId }) => pointId);

describe("a point whose manifest is damaged", () => {
  it("keeps its snapshots for as long as a point of its time is kept, and goes with them then", async () => {
    const world = await protectedWorld({ pointIntervalMs: 300_000, retentionMs: 3 * HOUR_MS });
    const damaged = await addPoint(world, at(1));
    const bytes = (await world.rawRecords(ITEM).read(manifestName(damaged.pointId)))?.bytes ?? missing();
    world.pass(HOUR_MS);
    await addPoint(world, at(2));
    await damage(world, manifestName(damaged.pointId));
    world.pass(ORPHAN_GRACE_MS + HOUR_MS);
    const last = await addPoint(world, at(3));
    expect(await sweep(world)).toMatchObject({
      keptPoints: 2,
      points: { damagedPoints: [damaged.pointId], removedSnapshots: 0 },
    });
    // Put back, it is whole.
    await world.rawRecords(ITEM).put(manifestName(damaged.pointId), bytes);
    expect(await pointIds(world)).toHaveLength(3);
    expect(await pointsWithSnapshots(world)).toContain(damaged.pointId);

    await damage(world, manifestName(damaged.pointId));
    world.pass(HOUR_MS + 1);
    await addPoint(world, at(4));
    expect(await sweep(world)).toMatchObject({
      points: { removedPoints: expect.arrayContaining([damaged.pointId]), damagedPoints: [] },
    });
    expect(await pointsWithSnapshots(world)).not.toContain(damaged.pointId);
    expect(await pointsWithSnapshots(world)).toContain(last.pointId);
    expect(world.recordNames(ITEM).filter((name) => name.includes(damaged.pointId))).toEqual([]);
  });

  it("stays while somebody holds it, and while there is no other point", async () => {
    const world = await protectedWorld(LATEST_ONLY);
    const damaged = await addPoint(world, at(1));
    const pin = { pinId: "failover/1", reason: "", sinceMs: 0, untilMs: undefined };
    await pinPoint(world.stores.records(ITEM), damaged.pointId, pin);
    await damage(world, manifestName(damaged.pointId));
    world.pass(HOUR_MS);
    expect(await sweep(world)).toMatchObject({ points: { damagedPoints: [damaged.pointId] } });
    await addPoint(world, at(2));
    expect(await sweep(world)).toMatchObject({
      points: { pinnedPoints: [damaged.pointId], damagedPoints: [damaged.pointId] },
    });
    expect(await pointsWithSnapshots(world)).toHaveLength(2);
  });

  it("holds the containers of the stream in which its snapshots lie", async () => {
    const world = await protectedWorld();
    const damaged = await addPoint(world, at(1));
    await damage(world, manifestName(damaged.pointId));
    await openAnotherStream(world);
    world.pass(OLD_STREAM_KEEP_MS + 1);
    expect(await sweep(world)).toMatchObject({ removedContainers: 1, points: { damagedPoints: [damaged.pointId] } });
    expect(await pointsWithSnapshots(world)).toEqual([damaged.pointId]);
  });
});

/** As a repair does: the item has another stream, with disks of its own. */
async function openAnotherStream(world: World): Promise<void> {
  const openedMs = world.context.clock.now();
  await world.stores.createContainers(ITEM, 2);
  for (const { id, sizeBytes } of DISKS)
    await world.stores.disks.create({ itemId: ITEM, stream: 2, diskId: id }, sizeBytes);
  await changeItem(world.stores, ITEM, (item) => ({ ...item, stream: 2, openedMs }));
}

describe("damaged pins", () => {
  it("are made anew from the restores that hold the point, and from those that nobody can read", async () => {
    const world = await protectedWorld(LATEST_ONLY);
    const held = await addPoint(world, at(1));
    const { restoreId } = await startRestore(world.context, ITEM, held.pointId, "one");
    await damage(world, pinsName(held.pointId));
    world.pass(HOUR_MS);
    await addPoint(world, at(2));
    expect(await sweep(world)).toMatchObject({ points: { repairedPins: 1, removedPoints: [] } });
    expect(await readPins(world.stores.records(ITEM), held.pointId)).toMatchObject({
      state: "kept",
      pins: [{ pinId: `restore/${restoreId}` }],
    });
    await damage(world, pinsName(held.pointId));
    await damage(world, `restores/${restoreId}.json`);
    await sweep(world);
    expect((await readPins(world.stores.records(ITEM), held.pointId))?.pins).toHaveLength(1);
    expect(await pointIds(world)).toContain(held.pointId);
  });

  it("of a point that was being removed end with its removal", async () => {
    const world = await protectedWorld(LATEST_ONLY);
    const point = await addPoint(world, at(1));
    await damage(world, pinsName(point.pointId));
    await world.stores.records(ITEM).remove(manifestName(point.pointId));
    expect(await sweep(world)).toMatchObject({ points: { repairedPins: 1 } });
    expect(await sweep(world)).toMatchObject({ points: { finishedDeletions: 1 } });
    expect(await pointsWithSnapshots(world)).toEqual([]);
    expect(world.recordNames(ITEM).filter((name) => name.startsWith("points/"))).toEqual([]);
  });
});

describe("a point that names a snapshot which is gone", () => {
  it("is no point: a worker that slept behind its tombstone made it, and the sweep removes it", async () => {
    const world = await protectedWorld();
    const whole = await addPoint(world, at(1));
    const late = await addPoint(world, at(2));
    await world.stores.snapshots.remove({ itemId: ITEM, stream: 1, diskId: "os" }, snapshotNamed(late, "os"));
    expect(await sweep(world)).toMatchObject({ keptPoints: 1, points: { removedPoints: [late.pointId] } });
    expect(await pointIds(world)).toEqual([whole.pointId]);
    expect(await pointsWithSnapshots(world)).toEqual([whole.pointId]);
  });

  it("is left to the sweep that removes it, when another one does", async () => {
    const world = await protectedWorld();
    const point = await addPoint(world, at(1));
    const records = world.stores.records(ITEM);
    const list: ItemStores["snapshots"]["list"] = async (disk) => {
      // Between the look at the catalog and that at the disks, another sweep has ended the deletion of the point.
      await records.remove(manifestName(point.pointId));
      await world.stores.snapshots.remove(disk, snapshotNamed(point, disk.diskId));
      return world.stores.snapshots.list(disk);
    };
    await sweep(world, { ...world.stores, snapshots: { ...world.stores.snapshots, list } });
    expect(world.recordNames(ITEM).filter((name) => name.startsWith("points/"))).toEqual([]);
  });
});

const snapshotNamed = (point: PointManifest, diskId: string): string =>
  point.disks.find(({ id }) => id === diskId)?.snapshot ?? missing();

describe("snapshots of a stream that is closed", () => {
  it("go when no manifest names them, and stay when one does", async () => {
    const world = await protectedWorld();
    const point = await addPoint(world, at(1));
    const orphanId = makePointId(world.context.clock.now(), "orphan");
    for (const disk of DISKS) await snapshotOf(world, disk.id, orphanId);
    await openAnotherStream(world);
    world.pass(ORPHAN_GRACE_MS + 1);
    expect(await sweep(world)).toMatchObject({ points: { removedSnapshots: 2 } });
    expect(await pointsWithSnapshots(world)).toEqual([point.pointId]);
    expect(await readPoint(world.stores.records(ITEM), orphanId)).toMatchObject({ kind: "tombstone" });
  });
});

describe("a tombstone", () => {
  it("keeps the name as long as a snapshot of its point is there, however old it is", async () => {
    const world = await protectedWorld();
    const pointId = makePointId(world.context.clock.now(), "orphan");
    await snapshotOf(world, "os", pointId);
    world.pass(ORPHAN_GRACE_MS + 1);
    await sweep(world);
    // A request of the dead worker lands as late as this.
    await snapshotOf(world, "data", pointId);
    world.pass(TOMBSTONE_MS + 1);
    expect(await sweep(world)).toMatchObject({ points: { removedSnapshots: 1, removedTombstones: 0 } });
    expect(await readPoint(world.stores.records(ITEM), pointId)).toMatchObject({ kind: "tombstone" });
    expect(await sweep(world)).toMatchObject({ points: { removedTombstones: 1 } });
  });
});

describe("the sweep of an item whose progress is damaged", () => {
  it("removes what retention lets go all the same, and tells of the damage", async () => {
    const world = await protectedWorld(LATEST_ONLY);
    const first = await addPoint(world, at(1));
    world.pass(POINT_SETTLE_MS);
    const second = await addPoint(world, at(2));
    await damage(world, PROGRESS_RECORD);
    expect(await sweep(world)).toMatchObject({ damaged: { code: "record-corrupt" } });
    expect(await pointIds(world)).toEqual([second.pointId]);
    expect(await pointsWithSnapshots(world)).not.toContain(first.pointId);
  });
});

describe("the catalog", () => {
  it("is in the order of positions, whatever the clocks said", async () => {
    const world = await protectedWorld();
    const ahead = await addPoint(world, at(1), { targetTimeMs: world.context.clock.now() + 1000 * HOUR_MS });
    const next = await addPoint(world, at(2));
    const streams = await addPoint(
      world,
      { ...START, stream: 0, epoch: 9 },
      { targetTimeMs: world.context.clock.now() + HOUR_MS },
    );
    expect(await pointIds(world)).toEqual([streams, ahead, next].map(({ pointId }) => pointId));
  });

  it("names every damaged record beside the good ones", async () => {
    const world = await protectedWorld();
    const first = await addPoint(world, at(1));
    world.pass(1);
    const second = await addPoint(world, at(2));
    await damage(world, manifestName(first.pointId));
    await damage(world, pinsName(second.pointId));
    const strange = makePointId(0, "strange");
    await world.stores.records(ITEM).put(manifestName(strange), encodePoint({ ...second }));
    const { points, damagedManifests, damagedPins } = await readCatalog(world.stores.records(ITEM));
    expect(points.map(({ pointId }) => pointId)).toEqual([second.pointId]);
    expect([...damagedManifests.keys()]).toEqual([strange, first.pointId]);
    expect(damagedManifests.get(first.pointId)?.message).toContain(first.pointId);
    expect([...damagedPins.keys()]).toEqual([second.pointId]);
  });
});
