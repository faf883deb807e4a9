import {
  type LedgerEntry,
  type RemovalScope,
  beginRemoval,
  compact,
  isEmpty,
  leftovers,
  liveIds,
  markReleased,
  markRemoved,
  planRemoval,
} from "../../replication/failover/ledger.ts";
import { changeLedger, readLedger } from "../../replication/failover/ledger-record.ts";
import { LeewardError } from "../../replication/errors.ts";
import { changeItem, findItem } from "../../replication/items/item-record.ts";
import { ITEMS_PAGE_MAX_COUNT } from "../../replication/limits.ts";
import type { ItemStores } from "../../replication/ports.ts";
import type { Begun } from "../../replication/ports-resource-manager.ts";
import { forgetNetwork } from "../../replication/networks/mapping-records.ts";
import { parsePath } from "../../replication/resources/ids.ts";
import type { FlowRun } from "../flow-run.ts";
import { type FlowContext, managedOf, managementOf } from "./context.ts";
import { type StepAnswer, stepAnswer } from "./resources.ts";

/** Nobody speaks for the source any more: the tokens of its service end, and what it has uploaded stays. */
export async function silenceSource({ stores }: FlowContext, { itemId }: FlowRun): Promise<void> {
  if ((await findItem(stores, itemId)) === undefined) return;
  await changeItem(stores, itemId, (item) =>
    item.tokenHash === undefined && item.nextTokenHash === undefined && item.registrationHash === undefined
      ? item
      : { ...item, tokenHash: undefined, nextTokenHash: undefined, registrationHash: undefined },
  );
}

/** Marks what has to go, then looks at the other items (in this order: see `beginRemoval`); the ids to remove, stage by stage. */
export async function planRemovals(
  context: FlowContext,
  { itemId }: FlowRun,
  { scope }: { readonly scope: RemovalScope },
): Promise<readonly (readonly string[])[]> {
  const { stores } = context;
  const { situation } = await managedOf(context, itemId);
  const marked = await changeLedger(stores, itemId, (ledger) => beginRemoval(ledger, scope, situation.activeLocation === "Recovery"));
  // The other items matter for what is shared only: a failover that reads the ledgers of hundreds of them would be late for nothing.
  const sharedGo = marked.entries.some(({ role, state }) => role === "shared" && state === "removing");
  const { stages, toRelease } = planRemoval(marked, sharedGo ? await idsInUse(stores, itemId) : []);
  if (toRelease.length > 0) await changeLedger(stores, itemId, (ledger) => toRelease.reduce(markReleased, ledger));
  return stages.map((stage) => stage.map(({ id }) => id));
}

async function idsInUse(stores: ItemStores, itemId: string): Promise<readonly string[]> {
  const used: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await stores.listItems(ITEMS_PAGE_MAX_COUNT, after);
    for (const other of page) if (other !== itemId) used.push(...liveIds(await readLedger(stores, other)));
    after = page.at(-1);
    if (page.length < ITEMS_PAGE_MAX_COUNT) return used;
  }
}

/** Begins to remove one resource. A group in which something lives, and a shared part that others use, stay and are released. */
export async function beginRemove(context: FlowContext, run: FlowRun, { id }: { readonly id: string }): Promise<StepAnswer> {
  const entry = await removingEntry(context, run, id);
  if (entry === undefined) return { kind: "done" };
  const { resourceManager } = managementOf(context);
  if (entry.kind === "resource-group" && (await resourceManager.list(`${id}/resources`)).length > 0) return release(context, run, entry);
  return removeAnswer(context, run, entry, await resourceManager.begin({ kind: "remove", id }));
}

export async function lookRemove(
  context: FlowContext,
  run: FlowRun,
  { id, operation }: { readonly id: string; readonly operation: string },
): Promise<StepAnswer> {
  const entry = await removingEntry(context, run, id);
  if (entry === undefined) return { kind: "done" };
  return removeAnswer(context, run, entry, await managementOf(context).resourceManager.look(operation));
}

async function removingEntry({ stores }: FlowContext, { itemId }: FlowRun, id: string): Promise<LedgerEntry | undefined> {
  const { entries } = await readLedger(stores, itemId);
  return entries.find((entry) => entry.id === id && entry.state === "removing");
}

async function removeAnswer(context: FlowContext, run: FlowRun, entry: LedgerEntry, begun: Begun): Promise<StepAnswer> {
  if (begun.kind === "failed" && begun.code === "azure-resource-conflict" && entry.role === "shared") return release(context, run, entry);
  const answer = stepAnswer(begun);
  if (answer.kind === "done" && entry.kind === "virtual-network") await forgetNetwork(context.control, entry.id);
  if (answer.kind === "done") await changeLedger(context.stores, run.itemId, (ledger) => markRemoved(ledger, entry.id));
  return answer;
}

async function release({ stores }: FlowContext, { itemId }: FlowRun, { id }: LedgerEntry): Promise<StepAnswer> {
  await changeLedger(stores, itemId, (ledger) => markReleased(ledger, id));
  return { kind: "done" };
}

/** Removes what the storage accounts keep of the item, but for the records that tell of its jobs. */
export async function removeData({ stores }: FlowContext, { itemId }: FlowRun): Promise<void> {
  await stores.removeItem(itemId);
}

/** Looks whether everything that was removed is gone. Errors: `azure-resource-conflict` with the leftovers. */
export async function proveNothingLeft(context: FlowContext, { itemId }: FlowRun): Promise<void> {
  const { stores } = context;
  const ledger = await readLedger(stores, itemId);
  const open = leftovers(ledger).map(({ id }) => id);
  for (const { id, state } of ledger.entries) {
    if (state !== "removed" || parsePath(id) === undefined) continue;
    if ((await managementOf(context).resourceManager.read(id)) !== undefined) open.push(id);
  }
  if (open.length > 0) throw new LeewardError("azure-resource-conflict", `These still stand: ${open.join(", ")}.`, { itemId });
  const after = await changeLedger(stores, itemId, compact);
  if (!isEmpty(after)) throw new LeewardError("conflict", "The ledger has changed meanwhile.", { itemId });
}
