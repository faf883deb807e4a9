import { describe, expect, it } from "vitest";
import {
  ORPHAN_GRACE_MS,
  POINT_SETTLE_MS,
  SWEEP_MAX_JOURNAL,
  SWEEP_MAX_SNAPSHOTS,
  TOMBSTONE_MS,
} from "../../replication/limits.ts";
import { journalName, manifestName, pinsName } from "../../replication/names.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import { encodePoint, makePointId, readPoint } from "../../replication/points/manifest.ts";
import { beginDeletion, pinPoint, snapshotsOf } from "../../replication/points/pins.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { type SweepSummary, sweepItem } from "../../replication/sweep/sweep.ts";
import { lastUnneededEpoch } from "../../replication/sweep/trim-journal.ts";
import { killedEverywhere } from "../items/interrupted.ts";
import {
  DISKS,
  HOUR_MS,
  ITEM,
  START_MS,
  type World,
  addPoint,
  applyChain,
  deltaChain,
  pointsWithSnapshots,
  progressOf,
  protectedWorld,
  setProgress,
  snapshotOf,
  START,
} from "../items/world.ts";

const POSITION = START;
const LATEST_ONLY = { pointIntervalMs: 300_000, retentionMs: 0 };

async function sweep(world: World, stores = world.stores): Promise<SweepSummary> {
  const summary = await sweepItem({ ...world.context, stores }, ITEM);
  if (summary === undefined) throw new Error("no item");
  return summary;
}

const namesUnder = (world: World, prefix: string): readonly string[] =>
  world.recordNames(ITEM).filter((name) => name.startsWith(prefix));

/** Snapshots of a worker that was killed before it wrote the manifest. */
async function orphan(world: World): Promise<string> {
  const pointId = makePointId(world.context.clock.now(), "orphan");
  for (const disk of DISKS) await snapshotOf(world, disk.id, pointId);
  return pointId;
}

describe("retention by the sweep", () => {
  it("removes expired points with their snapshots and keeps the rest", async () => {
    const world = await protectedWorld(LATEST_ONLY);
    const first = await addPoint(world, POSITION);
    world.pass(HOUR_MS);
    const second = await addPoint(world, POSITION);
    expect(await sweep(world)).toMatchObject({
      keptPoints: 1,
      points: { removedPoints: [first.pointId], pinnedPoints: [] },
      more: false,
    });
    expect(namesUnder(world, "points/")).toEqual([manifestName(second.pointId)]);
    expect(await pointsWithSnapshots(world)).toEqual([second.pointId]);
    expect(await sweep(world)).toMatchObject({ keptPoints: 1, points: { removedPoints: [] } });
  });

  it("finishes deletions that stopped half-way", async () => {
    const world = await protectedWorld();
    const first = await addPoint(world, POSITION);
    const second = await addPoint(world, { ...POSITION, epoch: 2 });
    const records = world.stores.records(ITEM);
    await beginDeletion(records, first.pointId, snapshotsOf(first), START_MS);
    await beginDeletion(records, second.pointId, snapshotsOf(second), START_MS);
    await records.remove(manifestName(second.pointId));
    expect(await sweep(world)).toMatchObject({ keptPoints: 0, points: { finishedDeletions: 2 } });
    expect(namesUnder(world, "points/")).toEqual([]);
    expect(await pointsWithSnapshots(world)).toEqual([]);
  });

  it("the scope `hints` leaves points alone", async () => {
    const world = await protectedWorld(LATEST_ONLY);
    await addPoint(world, POSITION);
    world.pass(HOUR_MS);
    await addPoint(world, POSITION);
    expect(await sweepItem(world.context, ITEM, "hints")).toMatchObject({ points: undefined, restores: [] });
    expect((await listPoints(world.stores.records(ITEM))).points).toHaveLength(2);
  });
});

describe("snapshots that no manifest names", () => {
  it("rule 2: get a tombstone after the grace time, and only then go; a late worker finds the name taken", async () => {
    const world = await protectedWorld();
    const pointId = await orphan(world);
    world.pass(ORPHAN_GRACE_MS);
    expect(await sweep(world)).toMatchObject({ points: { removedSnapshots: 0 } });
    world.pass(1);
    expect(await sweep(world)).toMatchObject({ points: { removedSnapshots: 2 } });
    expect(await pointsWithSnapshots(world)).toEqual([]);
    expect(await readPoint(world.stores.records(ITEM), pointId)).toMatchObject({ kind: "tombstone", pointId });
    expect(await world.stores.records(ITEM).create(manifestName(pointId), new Uint8Array(1))).toBeUndefined();
    await expect(
      pinPoint(world.stores.records(ITEM), pointId, { pinId: "x", reason: "", sinceMs: 0, untilMs: undefined }),
    ).rejects.toMatchObject({ code: "point-unknown" });
    expect((await listPoints(world.stores.records(ITEM))).points).toEqual([]);
  });

  it("old tombstones go", async () => {
    const world = await protectedWorld();
    await orphan(world);
    world.pass(ORPHAN_GRACE_MS + 1);
    await sweep(world);
    world.pass(TOMBSTONE_MS);
    expect(await sweep(world)).toMatchObject({ points: { removedTombstones: 0 } });
    world.pass(1);
    expect(await sweep(world)).toMatchObject({ points: { removedTombstones: 1 } });
    expect(namesUnder(world, "points/")).toEqual([]);
  });

  it("snapshots of strangers are never touched", async () => {
    const world = await protectedWorld();
    const disk = { itemId: ITEM, stream: 1, diskId: "os" };
    world.memory.snapshotByOthers(disk);
    world.pass(365 * 24 * HOUR_MS);
    expect(await sweep(world)).toMatchObject({ points: { removedSnapshots: 0 } });
    expect(await world.stores.snapshots.list(disk)).toHaveLength(1);
  });

  it("rule 2: a manifest that lands after the look at the catalog keeps its snapshots, whoever is faster", async () => {
    for (const when of ["before the tombstone", "after it"] as const) {
      const world = await protectedWorld();
      const pointId = makePointId(world.context.clock.now(), "late");
      const disks = await Promise.all(
        DISKS.map(async (disk) => ({ ...disk, snapshot: await snapshotOf(world, disk.id, pointId) })),
      );
      const manifest = {
        version: 1,
        kind: "point",
        pointId,
        itemId: ITEM,
        stream: 1,
        position: POSITION,
        sourceTimeMs: 0,
        skewMs: undefined,
        targetTimeMs: START_MS,
        consistency: "crash",
        generation: 1,
        disks,
      } as const;
      world.pass(ORPHAN_GRACE_MS + 1);
      const inner = world.stores.records(ITEM);
      let landed: string | undefined;
      const records: typeof inner = {
        ...inner,
        create: async (name, bytes) => {
          if (when === "before the tombstone") landed ??= await inner.create(name, encodePoint(manifest));
          const created = await inner.create(name, bytes);
          if (when === "after it") landed ??= await inner.create(name, encodePoint(manifest));
          return created;
        },
      };
      const stores: ItemStores = { ...world.stores, records: () => records };
      await sweep(world, stores);
      const exists = (await readPoint(inner, pointId))?.kind === "point";
      expect(exists).toBe(landed !== undefined);
      expect(exists).toBe(when === "before the tombstone");
      expect(await pointsWithSnapshots(world)).toEqual(exists ? [pointId] : []);
    }
  });

  it("a snapshot that another one of the same point made superfluous goes, the named one stays", async () => {
    const world = await protectedWorld();
    const point = await addPoint(world, POSITION);
    await snapshotOf(world, "os", point.pointId);
    world.pass(ORPHAN_GRACE_MS + 1);
    expect(await sweep(world)).toMatchObject({ points: { removedSnapshots: 1 } });
    for (const disk of point.disks) {
      expect(world.memory.snapshotContent({ itemId: ITEM, stream: 1, diskId: disk.id }, disk.snapshot)).toBeDefined();
    }
  });

  it("rule 9: at most a bounded number goes at once", async () => {
    const world = await protectedWorld();
    for (let at = 0; at < SWEEP_MAX_SNAPSHOTS / 2 + 1; at += 1) {
      await orphan(world);
      world.pass(1);
    }
    world.pass(ORPHAN_GRACE_MS + 1);
    expect(await sweep(world)).toMatchObject({ points: { removedSnapshots: SWEEP_MAX_SNAPSHOTS }, more: true });
    expect(await sweep(world)).toMatchObject({ points: { removedSnapshots: 2 }, more: false });
  });
});

describe("pins records without a point", () => {
  it("are removed when the point vanished while it was being pinned", async () => {
    const world = await protectedWorld();
    const pointId = makePointId(START_MS, "gone");
    const left = { version: 1, state: "kept", pins: [], snapshots: [] };
    await world.stores.records(ITEM).create(pinsName(pointId), encodeRecord(left));
    await sweep(world);
    expect(namesUnder(world, "points/")).toEqual([]);
  });
});

describe("the journal", () => {
  const chain = deltaChain(8);
  const epochs = (world: World): readonly number[] =>
    namesUnder(world, "journal/").map((name) => Number(name.slice(-12)));

  it("rule 7: is kept from the oldest kept point on, and whole while there is no point", async () => {
    const world = await protectedWorld(LATEST_ONLY);
    await applyChain(world, chain);
    expect(await sweep(world)).toMatchObject({ trimmedJournal: 0 });
    const third = chain[2];
    if (third === undefined) throw new Error("no delta");
    await addPoint(world, third.end);
    expect(await sweep(world)).toMatchObject({ trimmedJournal: 3 });
    expect(epochs(world)).toEqual([4, 5, 6, 7, 8]);
    world.pass(POINT_SETTLE_MS + 1);
    await addPoint(world, chain[7]?.end ?? third.end);
    world.pass(POINT_SETTLE_MS + 1);
    expect(await sweep(world)).toMatchObject({ keptPoints: 1, trimmedJournal: 5 });
    expect(epochs(world)).toEqual([]);
  });

  it("keeps what a begun batch needs, and everything that a pinned point needs", async () => {
    const world = await protectedWorld(LATEST_ONLY);
    await applyChain(world, chain);
    const point = await addPoint(world, chain[1]?.end ?? POSITION);
    await pinPoint(world.stores.records(ITEM), point.pointId, {
      pinId: "failover/1",
      reason: "",
      sinceMs: START_MS,
      untilMs: undefined,
    });
    world.pass(POINT_SETTLE_MS + 1);
    await addPoint(world, chain[6]?.end ?? POSITION);
    await sweep(world);
    expect(epochs(world)).toEqual([3, 4, 5, 6, 7, 8]);
  });

  it("goes by pure arithmetic: never beyond applied, never another stream's points", async () => {
    const world = await protectedWorld();
    await applyChain(world, chain.slice(0, 4));
    const progress = await progressOf(world);
    const at = async (stream: number, epoch: number): Promise<Awaited<ReturnType<typeof addPoint>>> =>
      addPoint(world, { ...POSITION, stream: 1, epoch }, { stream });
    const points = [await at(1, 3), await at(1, 2), await at(2, 1)];
    expect(lastUnneededEpoch(1, progress, points)).toBe(2);
    expect(lastUnneededEpoch(1, progress, [await at(1, 9)])).toBe(4);
    expect(lastUnneededEpoch(1, progress, [])).toBe(0);
    expect(lastUnneededEpoch(2, progress, points)).toBe(0);
    expect(lastUnneededEpoch(0, progress, points)).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("rule 9: is trimmed a bounded piece at a time", async () => {
    const world = await protectedWorld();
    const end = { ...POSITION, epoch: SWEEP_MAX_JOURNAL + 5 };
    for (let epoch = 1; epoch <= end.epoch; epoch += 1)
      await world.stores.records(ITEM).put(journalName(1, epoch), new Uint8Array(1));
    await setProgress(world, { applied: end, intent: end, seeding: false });
    await addPoint(world, end);
    expect(await sweep(world)).toMatchObject({ trimmedJournal: SWEEP_MAX_JOURNAL });
    expect(await sweep(world)).toMatchObject({ trimmedJournal: 5 });
  });
});

describe("rule 10: the whole sweep", () => {
  it("killed at any await and run again, ends in the same world", async () => {
    const kills = await killedEverywhere(
      async () => {
        const world = await protectedWorld(LATEST_ONLY);
        await applyChain(world, deltaChain(4));
        await addPoint(world, { ...POSITION, epoch: 2 });
        await orphan(world);
        world.pass(ORPHAN_GRACE_MS + 1);
        await addPoint(world, { ...POSITION, epoch: 3 });
        return world;
      },
      (world) => world.stores,
      (world, stores) => sweep(world, stores),
      async (world) => {
        await sweep(world);
        await sweep(world);
        const points = (await listPoints(world.stores.records(ITEM))).points;
        expect(points.map((point) => point.position.epoch)).toEqual([3]);
        expect(await pointsWithSnapshots(world)).toEqual(points.map((point) => point.pointId));
        expect(namesUnder(world, "journal/")).toEqual([journalName(1, 4)]);
        expect(namesUnder(world, "points/").filter((name) => name.endsWith("pins.json"))).toEqual([]);
      },
    );
    expect(kills).toBeGreaterThan(40);
  });
});
