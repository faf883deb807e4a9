import { describe, expect, it } from "vitest";
import { protectItem } from "../../replication/items/protect.ts";
import { ensureManaged } from "../../replication/jobs/managed-item.ts";
import { listOverviews, readOverview } from "../../replication/operations/overview.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { type Situation, UNPROTECTED } from "../../replication/states/decide.ts";
import { DISKS, createWorld } from "./world.ts";

const manage = (stores: ItemStores, itemId: string, situation: Situation): Promise<unknown> =>
  ensureManaged(stores, {
    version: 1,
    itemId,
    situation,
    running: undefined,
    sourceVmId: `/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/${itemId}`,
    options: { targetRegion: "northeurope" },
    policy: undefined,
    plan: undefined,
  });

describe("items as operators see them", () => {
  it("come page by page, also one that is only being enabled, or could not be; not one that is over", async () => {
    const world = createWorld();
    for (const itemId of ["a", "b", "c"]) await protectItem(world.context, { itemId, disks: DISKS, policy: undefined });
    await world.stores.createContainers("bb", 1);
    await manage(world.stores, "b", { ...UNPROTECTED, state: "FailoverCommitPending", activeLocation: "Recovery" });
    await manage(world.stores, "ba", { ...UNPROTECTED, state: "EnableFailed" });
    await manage(world.stores, "over", UNPROTECTED);
    const first = await listOverviews(world.context, { limit: 4 });
    expect(
      first.items.map(({ status, managed }) => [status?.itemId, managed?.item.itemId, managed?.situation.state]),
    ).toEqual([
      ["a", undefined, undefined],
      ["b", "b", "FailoverCommitPending"],
      [undefined, "ba", "EnableFailed"],
    ]);
    expect(first.next).toBe("bb");
    const second = await listOverviews(world.context, { limit: 4, after: first.next });
    expect(second).toMatchObject({ items: [{ status: { itemId: "c" } }], next: undefined });
    expect(await readOverview(world.context, "over")).toMatchObject({
      status: undefined,
      managed: { situation: { state: "Unprotected" } },
    });
    await expect(readOverview(world.context, "bb")).rejects.toMatchObject({ code: "item-unknown" });
  });
});
