import type { BlobAccount } from "./connections.ts";

/** The accounts that hold what one item stores. */
export interface ItemAccounts {
  /** In the source region: deltas. */
  readonly cache: BlobAccount;
  /** In the target region; the first holds the item's records and journal. */
  readonly replicas: readonly [BlobAccount, ...BlobAccount[]];
  /** The one of them with this disk's page blobs, snapshots and restored copies. */
  replicaOf(diskId: string): BlobAccount;
}

/** Every storage account that the app uses. */
export interface Accounts {
  /** Queues, records that belong to no item, and what outlives the protection of items. */
  readonly control: BlobAccount;
  /** Errors: those of reading a record. */
  of(itemId: string): Promise<ItemAccounts>;
}

/** One pair of accounts for all items. */
export function onePair(control: BlobAccount, cache: BlobAccount, target: BlobAccount): Accounts {
  const all: ItemAccounts = { cache, replicas: [target], replicaOf: () => target };
  return { control, of: async () => all };
}
