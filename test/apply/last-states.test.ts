import { describe, expect, it } from "vitest";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { type OneItem, openOneItem, plansOf } from "./one-item.ts";
import { ITEM_ID } from "./small-world.ts";

const epochsOf = async (world: OneItem): Promise<readonly (readonly [number, number | undefined])[]> =>
  (await world.points()).map((point) => [point.position.epoch, world.pointEpoch(point)]);

describe("the last state before the disks are filled again", () => {
  const SEEDING = { 4: { seeding: true }, 5: { seeding: true } };

  it.each([
    ["one by one", [[2], [3], [4, 5]]],
    ["all at once", [[2, 3, 4, 5]]],
  ])("has a point, though none is due by time: deltas that come %s", async (_, arrivals) => {
    const world = await openOneItem(plansOf(6, SEEDING));
    await world.arrive(1);
    await world.work();
    for (const epochs of arrivals) {
      await world.arrive(...epochs);
      await world.work();
    }
    expect(await epochsOf(world)).toEqual([
      [1, 1],
      [3, 3],
    ]);
    expect(world.diskEpoch()).toBe(5);
    await world.arrive(6);
    await world.work();
    expect(world.diskEpoch()).toBe(6);
  });

  it("is passed over by a batch that was begun beyond it: only its end is one state", async () => {
    const world = await openOneItem(plansOf(5, SEEDING));
    await world.arrive(1);
    await world.work();
    await world.arrive(2, 3, 4);
    const { stores } = world;
    const progress = await world.progress();
    const stored = await readProgress(stores.records(ITEM_ID));
    if (stored === undefined) throw new Error("the item has no progress");
    await replaceProgress(stores.records(ITEM_ID), stored, {
      ...progress,
      intent: world.epochs[3]?.end ?? progress.intent,
    });
    await world.work();
    expect(await epochsOf(world)).toEqual([[1, 1]]);
    expect(world.diskEpoch()).toBe(4);
  });
});
