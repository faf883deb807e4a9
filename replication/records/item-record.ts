import { LeewardError } from "../errors.ts";
import { ITEM_RECORD, isItemId } from "../names.ts";
import type { ItemStores } from "../ports.ts";
import { nothing, unlessDamaged } from "./damaged.ts";
import { decodeRecord } from "./envelope.ts";
import type { ProtectedItem } from "./item.ts";
import { type RecordAt, recordAt } from "./record.ts";

/** `item.json`. Errors: `item-unknown` where it must exist. */
export function itemRecord(stores: ItemStores, itemId: string): RecordAt<ProtectedItem> {
  return recordAt<ProtectedItem>(stores.records(itemId), {
    name: ITEM_RECORD,
    version: 1,
    owner: { itemId },
    missing: () => itemUnknown(itemId),
  });
}

/**
 * For those who remove an item's record, which holds these bytes: it is of no stream behind `lastStream`. A damaged one
 * may go. Errors: `conflict`.
 */
export async function requireNoLaterLife(itemId: string, bytes: Uint8Array, lastStream: number): Promise<void> {
  const item = await unlessDamaged(() => decodeRecord<ProtectedItem>(ITEM_RECORD, 1, bytes), nothing);
  if (item === undefined || item.stream <= lastStream) return;
  throw new LeewardError("conflict", "The item has another stream by now.", { itemId, stream: item.stream });
}

export interface StoredItem {
  readonly item: ProtectedItem;
  readonly etag: string;
}

/** Undefined if no such item exists; text that is no item id never reaches the store. Errors: `record-corrupt`. */
export async function findItem(stores: ItemStores, itemId: string): Promise<StoredItem | undefined> {
  const stored = isItemId(itemId) ? await itemRecord(stores, itemId).find() : undefined;
  return stored && { item: stored.body, etag: stored.etag };
}

/** Errors: `item-unknown`, `record-corrupt`. */
export async function readItem(stores: ItemStores, itemId: string): Promise<StoredItem> {
  const stored = await findItem(stores, itemId);
  if (stored === undefined) throw itemUnknown(itemId);
  return stored;
}

/**
 * Requires the item to exist, readable or not: damage to its record does not block operations that do not need it.
 * Errors: `item-unknown`.
 */
export async function requireItem(stores: ItemStores, itemId: string): Promise<void> {
  const stored = isItemId(itemId) ? await itemRecord(stores, itemId).inspect() : undefined;
  if (stored === undefined) throw itemUnknown(itemId);
}

/** Undefined if there is no such item, or its record cannot be read. */
export async function findReadableItem(stores: ItemStores, itemId: string): Promise<ProtectedItem | undefined> {
  return (await unlessDamaged(() => findItem(stores, itemId), nothing))?.item;
}

export function itemUnknown(itemId: string): LeewardError {
  return new LeewardError("item-unknown", `There is no protected item named "${itemId}".`, { itemId });
}

/**
 * Changes `item.json` by compare-and-set and returns the result. `change` may be called several times; returning its
 * argument means that nothing has to be written. Errors: those that `change` throws, `item-unknown`, `conflict` after
 * too many lost rounds.
 */
export async function changeItem(
  stores: ItemStores,
  itemId: string,
  change: (item: ProtectedItem) => ProtectedItem,
): Promise<ProtectedItem> {
  if (!isItemId(itemId)) throw itemUnknown(itemId);
  return itemRecord(stores, itemId).change(change);
}
