import type { ItemStores } from "../../replication/ports.ts";

/** Removes everything of an item, as disabling does in the end. */
export async function removeItem(stores: ItemStores, itemId: string): Promise<void> {
  while ((await stores.removeTargetData(itemId)).more);
  await stores.removeCacheData(itemId);
  await stores.forgetItem(itemId);
}
