import { describe, expect, it } from "vitest";
import { GAP_MAX_MS } from "../../replication/limits.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { type OneItem, openOneItem, plansOf } from "./one-item.ts";
import { ITEM_ID } from "./small-world.ts";

const epochsOf = async (world: OneItem): Promise<readonly (readonly [number, number | undefined])[]> =>
  (await world.points()).map((point) => [point.position.epoch, world.pointEpoch(point)]);
const ids = { next: () => "0".repeat(32) };
const sweep = (world: OneItem) =>
  sweepItem({ stores: world.stores, clock: { now: () => world.clock.nowMs }, ids }, ITEM_ID);

describe("the last state before a gap", () => {
  async function atGap(): Promise<OneItem> {
    const world = await openOneItem(plansOf(4));
    for (const epoch of [1, 2]) {
      await world.arrive(epoch);
      await world.work();
    }
    await world.arrive(4);
    world.clock.nowMs += GAP_MAX_MS + 1;
    return world;
  }

  it("has a point before the item stops there, and no failover has to wait for one that nobody takes any more", async () => {
    const world = await atGap();
    expect(await sweep(world)).toMatchObject({ cache: { hints: ["point-due"], stopped: undefined } });
    await world.work();
    expect(await epochsOf(world)).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect(await sweep(world)).toMatchObject({ cache: { hints: [], stopped: { code: "position-gap" } } });
  });

  it("is not waited for without end: a gap that no point can be taken at is told all the same", async () => {
    const world = await atGap();
    expect((await sweep(world))?.cache.stopped).toBeUndefined();
    world.clock.nowMs += 30_000;
    expect((await sweep(world))?.cache.stopped).toMatchObject({ code: "position-gap" });
  });
});
