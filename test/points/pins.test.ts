import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { PRUNE_MAX_POINTS } from "../../replication/limits.ts";
import { manifestName, pinsName } from "../../replication/names.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import { beginDeletion, pinPoint, readPins, unpinPoint, snapshotsOf } from "../../replication/points/pins.ts";
import { finishDeletion, pruneExpired } from "../../replication/sweep/prune.ts";
import { killedEverywhere } from "../items/interrupted.ts";
import {
  HOUR_MS,
  ITEM,
  START_MS,
  type World,
  addPoint,
  pointsWithSnapshots,
  protectedWorld,
  START,
} from "../items/world.ts";

const PIN = { pinId: "restore/1", reason: "restore", sinceMs: START_MS, untilMs: undefined };
const POSITION = START;

async function worldWithPoints(count: number): Promise<{ readonly world: World; readonly ids: readonly string[] }> {
  const world = await protectedWorld();
  const ids: string[] = [];
  for (let at = 0; at < count; at += 1) {
    ids.push((await addPoint(world, { ...POSITION, epoch: at + 1 })).pointId);
    world.pass(HOUR_MS);
  }
  return { world, ids };
}

async function prune(
  world: World,
  retentionMs: number,
  stores = world.stores,
): Promise<Awaited<ReturnType<typeof pruneExpired>>> {
  const policy = { retentionMs, pointIntervalMs: HOUR_MS };
  return pruneExpired({ ...world.context, stores }, ITEM, (await listPoints(stores.records(ITEM))).points, policy);
}

describe("pins", () => {
  it("keep a point from being deleted until they are taken away", async () => {
    const { world, ids } = await worldWithPoints(2);
    const [oldest = "", newest = ""] = ids;
    const records = world.stores.records(ITEM);
    expect(await pinPoint(records, oldest, PIN)).toMatchObject({ pointId: oldest });
    expect(await prune(world, 0)).toEqual({ removed: [], pinned: [oldest], more: false });
    await unpinPoint(records, oldest, "restore/other");
    expect((await prune(world, 0)).removed).toEqual([]);
    await unpinPoint(records, oldest, PIN.pinId);
    await unpinPoint(records, oldest, PIN.pinId);
    expect(await prune(world, 0)).toEqual({ removed: [oldest], pinned: [], more: false });
    expect(await pointsWithSnapshots(world)).toEqual([newest]);
    expect(world.recordNames(ITEM).filter((name) => name.startsWith("points/"))).toEqual([manifestName(newest)]);
  });

  it("rule 10: pinning twice is one pin; another holder's pin stays", async () => {
    const { world, ids } = await worldWithPoints(1);
    const [pointId = ""] = ids;
    const records = world.stores.records(ITEM);
    await pinPoint(records, pointId, PIN);
    await pinPoint(records, pointId, { ...PIN, reason: "again" });
    await pinPoint(records, pointId, { ...PIN, pinId: "failover/2" });
    await unpinPoint(records, pointId, "failover/2");
    expect((await readPins(records, pointId))?.pins).toEqual([
      { pinId: "restore/1", reason: "again", sinceMs: START_MS },
    ]);
  });

  it("end by themselves at their time", async () => {
    const { world, ids } = await worldWithPoints(2);
    const [oldest = ""] = ids;
    const nowMs = world.context.clock.now();
    await pinPoint(world.stores.records(ITEM), oldest, { ...PIN, sinceMs: nowMs, untilMs: nowMs + 1000 });
    expect((await prune(world, 0)).pinned).toEqual([oldest]);
    world.pass(1000);
    expect((await prune(world, 0)).removed).toEqual([oldest]);
  });

  it("a point that is being deleted, or is gone, or never was, cannot be pinned, and nothing is left behind", async () => {
    const { world, ids } = await worldWithPoints(2);
    const [oldest = ""] = ids;
    const records = world.stores.records(ITEM);
    const [point] = (await listPoints(records)).points;
    if (point === undefined) throw new Error("no point");
    expect(await beginDeletion(records, point.pointId, snapshotsOf(point), world.context.clock.now())).toBe(true);
    await expect(pinPoint(records, oldest, PIN)).rejects.toMatchObject({ code: "point-pruned" });
    expect(await finishDeletion(world.context, ITEM, oldest)).toBe(true);
    expect(await finishDeletion(world.context, ITEM, oldest)).toBe(false);
    await expect(pinPoint(records, oldest, PIN)).rejects.toMatchObject({ code: "point-unknown" });
    expect(world.recordNames(ITEM)).not.toContain(pinsName(oldest));
  });

  it("rule 2: of a pin and a deletion at the same time, in any order of their calls, exactly one wins", async () => {
    let pinned = 0;
    let removed = 0;
    for (let delay = 0; delay < 12; delay += 1) {
      const { world, ids } = await worldWithPoints(2);
      const [oldest = ""] = ids;
      // The pinning runs in one go when the deletion has made `delay` calls.
      let calls = 0;
      let outcome: unknown;
      const inner = world.stores.records(ITEM);
      const pinNow = async (): Promise<void> => {
        if (calls === delay) outcome = await pinPoint(inner, oldest, PIN).catch((error: unknown) => error);
        calls += 1;
      };
      const records: typeof inner = {
        ...inner,
        read: async (...given) => pinNow().then(() => inner.read(...given)),
        create: async (...given) => pinNow().then(() => inner.create(...given)),
        replace: async (...given) => pinNow().then(() => inner.replace(...given)),
        remove: async (...given) => pinNow().then(() => inner.remove(...given)),
      };
      await prune(world, 0, { ...world.stores, records: () => records });
      outcome ??= await pinPoint(inner, oldest, PIN).catch((error: unknown) => error);
      const there = (await listPoints(inner)).points.some((point) => point.pointId === oldest);
      const snapshots = (await pointsWithSnapshots(world)).includes(oldest);
      expect(snapshots).toBe(there);
      expect(outcome instanceof Error).toBe(!there);
      if (there) pinned += 1;
      else removed += 1;
    }
    expect(pinned).toBeGreaterThan(0);
    expect(removed).toBeGreaterThan(0);
  });
});

describe("a pin that a deletion overtakes", () => {
  it("rule 2: fails clearly at whichever call of the pinning the deletion comes, or holds", async () => {
    const outcomes = new Set<string>();
    for (let delay = 0; delay < 8; delay += 1) {
      const { world, ids } = await worldWithPoints(2);
      const [oldest = ""] = ids;
      const inner = world.stores.records(ITEM);
      let calls = 0;
      const deleteNow = async (): Promise<void> => {
        calls += 1;
        if (calls === delay) await prune(world, 0);
      };
      const records: typeof inner = {
        ...inner,
        read: async (...given) => deleteNow().then(() => inner.read(...given)),
        create: async (...given) => deleteNow().then(() => inner.create(...given)),
        replace: async (...given) => deleteNow().then(() => inner.replace(...given)),
      };
      const outcome = await pinPoint(records, oldest, PIN).then(
        () => "pinned",
        (error: unknown) => (error instanceof LeewardError ? error.code : "another error"),
      );
      outcomes.add(outcome);
      const there = (await listPoints(inner)).points.some((point) => point.pointId === oldest);
      expect(there).toBe(outcome === "pinned");
      expect((await readPins(inner, oldest))?.pins ?? []).toHaveLength(there ? 1 : 0);
    }
    expect([...outcomes].toSorted()).toEqual(["pinned", "point-pruned", "point-unknown"]);
  });
});

describe("pruning", () => {
  it("rule 9: removes a bounded number of points a call, oldest first", async () => {
    const { world, ids } = await worldWithPoints(PRUNE_MAX_POINTS + 3);
    expect(await prune(world, 0)).toEqual({ removed: ids.slice(0, PRUNE_MAX_POINTS), pinned: [], more: true });
    expect(await prune(world, 0)).toEqual({ removed: ids.slice(PRUNE_MAX_POINTS, -1), pinned: [], more: false });
    expect(await prune(world, 0)).toEqual({ removed: [], pinned: [], more: false });
  });

  it("waits until every request that made a point has settled", async () => {
    const world = await protectedWorld();
    const first = await addPoint(world, POSITION);
    world.pass(1000);
    await addPoint(world, POSITION);
    expect((await prune(world, 0)).removed).toEqual([]);
    world.pass(10 * 60_000);
    expect((await prune(world, 0)).removed).toEqual([first.pointId]);
  });

  it("rule 10: killed at any await, it is finished later, and no manifest ever names a snapshot that is gone", async () => {
    const kills = await killedEverywhere(
      () => worldWithPoints(3),
      ({ world }) => world.stores,
      ({ world }, stores) => prune(world, 0, stores),
      async ({ world, ids }) => {
        for (const point of (await listPoints(world.stores.records(ITEM))).points) {
          for (const disk of point.disks) {
            const there =
              world.memory.snapshotContent({ itemId: ITEM, stream: 1, diskId: disk.id }, disk.snapshot) !== undefined;
            expect(there).toBe(true);
          }
        }
        for (const pointId of ids) await finishDeletion(world.context, ITEM, pointId);
        await prune(world, 0);
        expect((await listPoints(world.stores.records(ITEM))).points.map((point) => point.pointId)).toEqual(
          ids.slice(-1),
        );
        expect(await pointsWithSnapshots(world)).toEqual(ids.slice(-1));
        expect(world.recordNames(ITEM).filter((name) => name.endsWith("pins.json"))).toEqual([]);
      },
    );
    expect(kills).toBeGreaterThan(20);
  });
});
