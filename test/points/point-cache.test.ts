import { describe, expect, it } from "vitest";
import { POINT_CACHE_KEPT_MS, POINT_CACHE_MAX_DISKS } from "../../replication/limits.ts";
import { manifestName } from "../../replication/names.ts";
import type { PointManifest, PointTombstone } from "../../replication/points/manifest.ts";
import { createPointCache } from "../../replication/points/point-cache.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { ITEM, START, type World, addPoint, protectedWorld } from "../items/world.ts";
import { wrapStores } from "../memory/wrapped-stores.ts";

/** Sweeps of one process, and the manifests that each has read. */
function sweeping(
  world: World,
): () => Promise<{ readonly reads: number; readonly keptPoints: number; readonly damaged: readonly string[] }> {
  const points = createPointCache(world.context.clock);
  return async () => {
    let reads = 0;
    const stores = wrapStores(world.stores, async (call, run) => {
      if (call.method === "read" && call.target.endsWith("manifest.json")) reads += 1;
      return run();
    });
    const summary = await sweepItem({ ...world.context, stores, points }, ITEM);
    return { reads, keptPoints: summary?.keptPoints ?? 0, damaged: summary?.points?.damagedPoints ?? [] };
  };
}

describe("a sweep that comes again", () => {
  it("reads the manifests that came since, and no others", async () => {
    const world = await protectedWorld();
    const sweep = sweeping(world);
    for (let epoch = 1; epoch <= 5; epoch += 1) {
      await addPoint(world, { ...START, epoch });
      world.pass(1_000);
    }
    expect(await sweep()).toMatchObject({ reads: 5, keptPoints: 5 });
    expect(await sweep()).toMatchObject({ reads: 0, keptPoints: 5 });
    await addPoint(world, { ...START, epoch: 6 });
    expect(await sweep()).toMatchObject({ reads: 1, keptPoints: 6 });
  });

  it("rule 6: reads again what was damaged, and what was put back", async () => {
    const world = await protectedWorld();
    const sweep = sweeping(world);
    const { pointId } = await addPoint(world, { ...START, epoch: 1 });
    const bytes = (await world.rawRecords(ITEM).read(manifestName(pointId)))?.bytes ?? new Uint8Array();
    await sweep();
    await world.rawRecords(ITEM).put(manifestName(pointId), new Uint8Array(3));
    expect((await sweep()).damaged).toEqual([pointId]);
    await world.rawRecords(ITEM).put(manifestName(pointId), bytes);
    expect(await sweep()).toMatchObject({ keptPoints: 1, damaged: [] });
  });
});

describe("rule 9: what a process remembers of manifests", () => {
  const clock = { nowMs: 0, now: () => clock.nowMs };
  const tombstone = (pointId: string): PointTombstone => ({
    version: 1,
    kind: "tombstone",
    pointId,
    itemId: "web",
    buriedMs: 0,
  });
  const manifest = (pointId: string, disks: number): PointManifest => ({
    version: 1,
    kind: "point",
    pointId,
    itemId: "web",
    stream: 1,
    position: START,
    sourceTimeMs: 0,
    skewMs: undefined,
    targetTimeMs: 0,
    consistency: "crash",
    generation: 1,
    disks: Array.from({ length: disks }, (_, disk) => ({
      id: `d${disk}`,
      sizeBytes: 512,
      sectorSizeBytes: 512 as const,
      snapshot: "s",
    })),
  });

  it("is bounded by the disks of all of them, and an item that finds no room drives out no other", () => {
    const cache = createPointCache(clock);
    const half = POINT_CACHE_MAX_DISKS / 2;
    cache.keep("a", [{ etag: "1", record: manifest("p", half) }]);
    cache.keep("b", [{ etag: "1", record: manifest("p", half + 1) }]);
    expect(cache.find("a", "p", "1")).toBeDefined();
    expect(cache.find("b", "p", "1")).toBeUndefined();
    cache.keep("a", [{ etag: "2", record: manifest("p", half - 1) }]);
    cache.keep("b", [{ etag: "1", record: manifest("p", half + 1) }]);
    expect(cache.find("a", "p", "1")).toBeUndefined();
    expect(cache.find("a", "p", "2")).toBeDefined();
    expect(cache.find("b", "p", "1")).toBeDefined();
    cache.keep("c", [{ etag: "1", record: tombstone("q") }]);
    expect(cache.find("c", "q", "1")).toBeUndefined();
  });

  it("makes room when an item was not listed for long", () => {
    const cache = createPointCache(clock);
    cache.keep("a", [{ etag: "1", record: manifest("p", POINT_CACHE_MAX_DISKS) }]);
    clock.nowMs += POINT_CACHE_KEPT_MS + 1;
    cache.keep("b", [{ etag: "1", record: tombstone("q") }]);
    expect(cache.find("a", "p", "1")).toBeUndefined();
    expect(cache.find("b", "q", "1")).toBeDefined();
  });
});
