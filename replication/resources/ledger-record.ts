import { forEachConcurrently } from "../concurrency.ts";
import { POINT_READS_IN_FLIGHT } from "../limits.ts";
import type { ItemStores } from "../ports.ts";
import { allItems } from "../records/all-items.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import { type Ledger, emptyLedger } from "./ledger.ts";

const ledgerRecord = (stores: ItemStores, itemId: string): RecordAt<Ledger> =>
  recordAt<Ledger>(stores.management(itemId), { name: "ledger.json", version: 1, owner: { itemId } });

export async function readLedger(stores: ItemStores, itemId: string): Promise<Ledger> {
  return (await ledgerRecord(stores, itemId).find())?.body ?? emptyLedger(itemId);
}

/** Whether the item has a ledger, even an empty one. Errors: `record-corrupt`. */
export async function hasLedger(stores: ItemStores, itemId: string): Promise<boolean> {
  return (await ledgerRecord(stores, itemId).find()) !== undefined;
}

export interface OtherLedgers {
  readonly ledgers: readonly Ledger[];
  /** Items with an unreadable ledger: it is unknown what they use. */
  readonly damaged: readonly string[];
}

/** The ledgers of all items but this one. A damaged one does not prevent reading the others. */
export async function readOtherLedgers(stores: ItemStores, itemId: string): Promise<OtherLedgers> {
  const ledgers: Ledger[] = [];
  const damaged: string[] = [];
  await forEachConcurrently(POINT_READS_IN_FLIGHT, allItems(stores), async (other) => {
    if (other === itemId) return;
    await unlessDamaged(
      async () => void ledgers.push(await readLedger(stores, other)),
      () => void damaged.push(other),
    );
  });
  return { ledgers, damaged: damaged.toSorted() };
}

/** By compare-and-set. Errors: those of `change`, `record-corrupt`, `conflict`. */
export function changeLedger(stores: ItemStores, itemId: string, change: (ledger: Ledger) => Ledger): Promise<Ledger> {
  return ledgerRecord(stores, itemId).upsert((found) => change(found ?? emptyLedger(itemId)));
}
