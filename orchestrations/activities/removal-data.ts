import { compact, isEmpty, leftovers, markSeen } from "../../replication/failover/ledger.ts";
import { changeLedger, readLedger } from "../../replication/failover/ledger-record.ts";
import { LeewardError } from "../../replication/errors.ts";
import { changeItem, findItem } from "../../replication/items/item-record.ts";
import { parsePath } from "../../replication/resources/ids.ts";
import type { FlowRun } from "../flow-run.ts";
import { type FlowContext, managementOf } from "./context.ts";

/** Nobody speaks for the source any more: the tokens of its service end, and what it has uploaded stays. */
export async function silenceSource({ stores }: FlowContext, { itemId }: FlowRun): Promise<void> {
  if ((await findItem(stores, itemId)) === undefined) return;
  await changeItem(stores, itemId, (item) =>
    item.tokenHash === undefined && item.nextTokenHash === undefined && item.registrationHash === undefined
      ? item
      : { ...item, tokenHash: undefined, nextTokenHash: undefined, registrationHash: undefined },
  );
}

/** Removes what the storage accounts keep of the item, but for the records that tell of its jobs. */
export async function removeData({ stores }: FlowContext, { itemId }: FlowRun): Promise<void> {
  await stores.removeItem(itemId);
}

/**
 * Looks whether everything that was removed is gone; what still stands is to be removed again. Errors: `conflict` with the leftovers, which is retryable: Azure
 * shows for some minutes what is gone.
 */
export async function proveNothingLeft(context: FlowContext, { itemId }: FlowRun): Promise<void> {
  const { stores, clock } = context;
  const { entries } = await readLedger(stores, itemId);
  const seen: (readonly [id: string, stands: boolean])[] = [];
  for (const { id, state } of entries) {
    if ((state !== "removed" && state !== "removing") || parsePath(id) === undefined) continue;
    seen.push([id, (await managementOf(context).resourceManager.read(id)) !== undefined]);
  }
  const looked = await changeLedger(stores, itemId, (ledger) =>
    seen.reduce((known, [id, stands]) => markSeen(known, id, stands, clock.now()), ledger),
  );
  const open = leftovers(looked).map(({ id }) => id);
  if (open.length > 0) {
    const hint = "Look at them in Azure, then disable protection again: what stands is removed again.";
    throw new LeewardError("conflict", `These still stand: ${open.join(", ")}.`, { itemId }, { hint });
  }
  const after = await changeLedger(stores, itemId, compact);
  if (!isEmpty(after)) throw new LeewardError("conflict", "The ledger has changed meanwhile.", { itemId });
}
