import { describe, expect, it } from "vitest";
import { DISKS_MAX_COUNT, POINT_INTERVAL_MIN_MS, PRUNE_MAX_SNAPSHOTS } from "../../replication/limits.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import { makePointId } from "../../replication/points/manifest.ts";
import { removePoints } from "../../replication/sweep/prune.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { ITEM, START, START_MS, type World, addPoint, protectedWorld } from "../items/world.ts";

async function takePoints(world: World, from: number, count: number): Promise<void> {
  for (let epoch = from; epoch < from + count; epoch += 1) {
    world.pass(POINT_INTERVAL_MIN_MS);
    await addPoint(world, { ...START, epoch });
  }
}

describe("rule 9: what one sweep removes of points", () => {
  it("is more than a machine makes until the next one, as often as a policy may ask for points", async () => {
    const world = await protectedWorld({ pointIntervalMs: POINT_INTERVAL_MIN_MS, retentionMs: 60_000 });
    await takePoints(world, 1, 240);
    for (let sweeps = 0; sweeps < 4; sweeps += 1) {
      await takePoints(world, 241 + 30 * sweeps, 30);
      expect(await sweepItem(world.context, ITEM)).toMatchObject({ damaged: undefined });
    }
    expect((await listPoints(world.stores.records(ITEM))).points.length).toBeLessThan(240);
  });

  it("is bounded by their snapshots too", async () => {
    const { context } = await protectedWorld();
    const snapshots = Array.from({ length: DISKS_MAX_COUNT }, (_, disk) => ({
      stream: 1,
      diskId: `disk-${disk}`,
      snapshot: "gone",
    }));
    const points = Array.from({ length: 20 }, (_, point) => ({
      pointId: makePointId(START_MS + point, "many"),
      snapshots,
    }));
    const { removed, more } = await removePoints(context, ITEM, points);
    expect([removed.length, more]).toEqual([Math.ceil(PRUNE_MAX_SNAPSHOTS / DISKS_MAX_COUNT), true]);
  });
});
