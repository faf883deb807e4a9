import { LeewardError } from "../errors.ts";
import { RECORD_CHANGES_MAX_TRIES } from "../limits.ts";
import type { ItemStores } from "../ports.ts";
import { nothing, unlessDamaged } from "./damaged.ts";
import type { ProtectedItem } from "./item.ts";
import { ITEM_RECORD, isItemId } from "../names.ts";
import { decodeRecord, encodeRecord } from "./envelope.ts";

export interface StoredItem {
  readonly item: ProtectedItem;
  readonly etag: string;
}

/** Undefined if no such item exists; text that is no item id never reaches the store. Errors: `record-corrupt`. */
export async function findItem(stores: ItemStores, itemId: string): Promise<StoredItem | undefined> {
  const stored = isItemId(itemId) ? await stores.records(itemId).read(ITEM_RECORD) : undefined;
  return stored === undefined ? undefined : { item: decodeItem(itemId, stored.bytes), etag: stored.etag };
}

/** Errors: `item-unknown`, `record-corrupt`. */
export async function readItem(stores: ItemStores, itemId: string): Promise<StoredItem> {
  const stored = await findItem(stores, itemId);
  if (stored === undefined) throw itemUnknown(itemId);
  return stored;
}

/**
 * That there is such an item, readable or not: what does not need its record is not kept from working by damage to it.
 * Errors: `item-unknown`.
 */
export async function requireItem(stores: ItemStores, itemId: string): Promise<void> {
  const stored = isItemId(itemId) ? await stores.records(itemId).read(ITEM_RECORD) : undefined;
  if (stored === undefined) throw itemUnknown(itemId);
}

/** Undefined if there is no such item, or none that can be read. */
export async function findReadableItem(stores: ItemStores, itemId: string): Promise<ProtectedItem | undefined> {
  return (await unlessDamaged(() => findItem(stores, itemId), nothing))?.item;
}

function itemUnknown(itemId: string): LeewardError {
  return new LeewardError("item-unknown", `There is no protected item named "${itemId}".`, { itemId });
}

/**
 * Changes `item.json` by compare-and-set and returns it as it stands then. `change` may be called several times; giving
 * back the item that it was given means that nothing has to be written. Errors: those that `change` throws,
 * `item-unknown`, `conflict` after too many lost rounds.
 */
export async function changeItem(
  stores: ItemStores,
  itemId: string,
  change: (item: ProtectedItem) => ProtectedItem,
): Promise<ProtectedItem> {
  for (let tries = 0; tries < RECORD_CHANGES_MAX_TRIES; tries += 1) {
    const { item, etag } = await readItem(stores, itemId);
    const next = change(item);
    if (next === item) return item;
    if ((await stores.records(itemId).replace(ITEM_RECORD, encodeRecord(next), etag)) !== undefined) return next;
  }
  throw new LeewardError("conflict", "The item was changed by others all the time.", { itemId });
}

function decodeItem(itemId: string, bytes: Uint8Array): ProtectedItem {
  const item = decodeRecord<ProtectedItem>(ITEM_RECORD, 1, bytes);
  if (item.itemId !== itemId) {
    throw new LeewardError("record-corrupt", "The item record names another item.", { itemId, found: item.itemId });
  }
  return item;
}
