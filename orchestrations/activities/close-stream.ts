import { requireProgress } from "../../replication/items/heartbeat.ts";
import { changeItem } from "../../replication/items/item-record.ts";
import type { ItemStores } from "../../replication/ports.ts";

/** Announces a stream that nobody opens: what the source still sends belongs to a closed one (rule 5), and no worker claims the disks any more. */
export async function announceClosed(stores: ItemStores, itemId: string): Promise<void> {
  const { stream } = await requireProgress(stores, itemId);
  await changeItem(stores, itemId, (item) => (item.stream > stream ? item : { ...item, stream: stream + 1 }));
}
