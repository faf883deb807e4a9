import { changeRecord, readRecord } from "../items/change-record.ts";
import type { ItemStores } from "../ports.ts";
import { type Ledger, emptyLedger } from "./ledger.ts";

const LEDGER_RECORD = "ledger.json";

export async function readLedger(stores: ItemStores, itemId: string): Promise<Ledger> {
  return (await readRecord<Ledger>(stores.records(itemId), LEDGER_RECORD, 1)) ?? emptyLedger(itemId);
}

/** By compare-and-set. Errors: those of `change`, `record-corrupt`, `conflict`. */
export function changeLedger(stores: ItemStores, itemId: string, change: (ledger: Ledger) => Ledger): Promise<Ledger> {
  return changeRecord<Ledger>(stores.records(itemId), LEDGER_RECORD, 1, (found) => change(found ?? emptyLedger(itemId)));
}
