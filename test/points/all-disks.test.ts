import { describe, expect, it } from "vitest";
import { protectItem } from "../../replication/items/protect.ts";
import { ITEM_RECORD } from "../../replication/names.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { requestRepair } from "../../replication/service/repair.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
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
import { wrapStores } from "../memory/wrapped-stores.ts";

const points = async (world: World) =>
  (await listPoints(world.stores.records(ITEM))).points.map(({ pointId }) => pointId);

describe("rule 2: the sweep takes no point for broken whose disks it did not look at", () => {
  it.each([
    ["one disk fewer", DISKS.slice(1)],
    ["other disks", [{ id: "new", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 }] as const],
  ])("points of before stay when an item whose record was damaged is protected again with %s", async (_, disks) => {
    const world = await protectedWorld();
    const { pointId } = await addPoint(world, START);
    await world.stores.records(ITEM).put(ITEM_RECORD, new TextEncoder().encode("damaged"));
    await protectItem(world.context, { itemId: ITEM, disks, policy: undefined });
    world.pass(3 * HOUR_MS);
    await sweepItem(world.context, ITEM);
    expect(await points(world)).toEqual([pointId]);
    expect(await pointsWithSnapshots(world)).toEqual([pointId]);
  });

  it("a point of the stream that a repair opened while the sweep waited for the cache stays", async () => {
    const world = await protectedWorld();
    let opened = "";
    // The cache answers late; meanwhile the disks are read into another stream, and a point of it is taken.
    const stores: ItemStores = wrapStores(world.stores, async ({ port, method }, run) => {
      if (port === "cache" && method === "list" && opened === "") {
        await requestRepair(world.context, ITEM);
        const snapshots = DISKS.map(async (disk) => ({ ...disk, snapshot: await snapshotOf(world, disk.id, "", 2) }));
        ({ pointId: opened } = await addPoint(
          world,
          { ...START, stream: 2, epoch: 1 },
          { disks: await Promise.all(snapshots) },
        ));
      }
      return run();
    });
    await sweepItem({ ...world.context, stores }, ITEM);
    expect(opened).not.toBe("");
    expect(await points(world)).toEqual([opened]);
  });
});
