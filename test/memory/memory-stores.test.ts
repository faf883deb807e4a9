import { describe } from "vitest";
import { diskSnapshotsContract } from "../contracts/disk-snapshots.ts";
import { itemStoresContract } from "../contracts/item-stores.ts";
import { recordStoreContract } from "../contracts/record-store.ts";
import { targetDisksContract } from "../contracts/target-disks.ts";
import { createMemoryStores } from "./memory-stores.ts";

/** The stores in memory keep the ports' promises, so what is proven on them holds on any storage that keeps them. */
describe("stores in memory", () => {
  const clock = { now: (): number => Date.now() };
  let items = 0;
  const freshItem = (): string => `item-${(items += 1)}`;

  recordStoreContract(async () => createMemoryStores(clock).stores.records(freshItem()));
  targetDisksContract(async () => {
    const { stores, memory } = createMemoryStores(clock);
    return { disks: stores.disks, itemId: freshItem(), read: async (disk) => memory.content(disk) };
  });
  diskSnapshotsContract(async () => {
    const { stores, memory } = createMemoryStores(clock);
    return {
      disks: stores.disks,
      snapshots: stores.snapshots,
      itemId: freshItem(),
      readRestored: async (disk) => memory.restoredContent(disk) ?? new Uint8Array(),
      snapshotByOthers: async (disk) => memory.snapshotByOthers(disk),
    };
  });
  itemStoresContract(async () => {
    const world = createMemoryStores(clock);
    return { stores: world.stores, quarantined: (itemId) => world.quarantined(itemId) };
  });
});
