import { expect, it } from "vitest";
import { findKnownItem, readKnownItem } from "../../replication/items/known-item.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { ensureManaged } from "../../replication/jobs/managed-item.ts";
import { ITEM_RECORD } from "../../replication/names.ts";
import { UNPROTECTED } from "../../replication/states/decide.ts";
import { DISKS, createWorld } from "./world.ts";

const manage = (world: ReturnType<typeof createWorld>, itemId: string): Promise<unknown> =>
  ensureManaged(world.stores, {
    version: 1,
    itemId,
    situation: UNPROTECTED,
    running: undefined,
    sourceVmId: "/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web",
    options: { targetRegion: "northeurope" },
    policy: undefined,
    plan: undefined,
  });

it("an item is known by either of its records, readable or not, and by neither it is not", async () => {
  const world = createWorld();
  await expect(readKnownItem(world.stores, "nobody")).rejects.toMatchObject({ code: "item-unknown" });
  await expect(readKnownItem(world.stores, "../no item")).rejects.toMatchObject({ code: "item-unknown" });
  expect(await findKnownItem(world.stores, "nobody")).toBeUndefined();
  await protectItem(world.context, { itemId: "disks", disks: DISKS, policy: undefined });
  expect(await readKnownItem(world.stores, "disks")).toMatchObject({ item: { itemId: "disks" }, managed: undefined });
  await world.stores.createContainers("flows", 1);
  await manage(world, "flows");
  expect(await readKnownItem(world.stores, "flows")).toMatchObject({ item: undefined, managed: { itemId: "flows" } });
  await manage(world, "disks");
  await world.stores.records("disks").put(ITEM_RECORD, new Uint8Array([1]));
  expect(await readKnownItem(world.stores, "disks")).toMatchObject({
    item: undefined,
    managed: { itemId: "disks" },
    damaged: { code: "record-corrupt" },
  });
});
