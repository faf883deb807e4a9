import { LeewardError } from "../errors.ts";
import { type ManagedItem, findManaged } from "../jobs/managed-item.ts";
import { LEFT_RETRY_MS } from "../limits.ts";
import { lastStreamOf } from "../records/streams.ts";
import { sameId } from "../resources/ids.ts";
import { changeLedger, readLedger, readOtherLedgers } from "../resources/ledger-record.ts";
import { endLeft, isAtSource, openLeft, liveIds, markLeft, retryLeft, type LedgerEntry } from "../resources/ledger.ts";
import { subnetsAdded } from "../resources/leftover.ts";
import type { ResourceJson } from "../resources/resource-manager.ts";
import { itemOf } from "../resources/tags.ts";
import { type FlowContext, managementOf } from "./context.ts";

/** The outcome of trying one leftover. */
export interface LeftoverTry {
  readonly id: string;
  readonly state: "removed" | "under-way" | "left";
  readonly reason: string | undefined;
}

/**
 * Completes, for the sweep, a disabling that the source region delayed or in which a PUT was never answered: retries
 * one leftover, at most once in LEFT_RETRY_MS. Not while the item is protected again: then the next disabling does it.
 * Undefined: nothing is due.
 */
export async function retryLeftover(context: FlowContext, itemId: string): Promise<LeftoverTry | undefined> {
  const { stores, clock, management } = context;
  const managed = management === undefined ? undefined : await findManaged(stores, itemId);
  if (managed === undefined || managed.situation.state !== "Unprotected" || managed.situation.job !== undefined)
    return undefined;
  const nowMs = clock.now();
  const isDue = ({ changedMs }: LedgerEntry): boolean => nowMs - (changedMs ?? 0) >= LEFT_RETRY_MS;
  const due = openLeft(await readLedger(stores, itemId)).find(isDue);
  if (due === undefined) return undefined;
  const { id } = due;
  // Before the mark: protecting the item again meanwhile waits for the mark first, and mints streams afterwards.
  const lastStream = await lastStreamOf(stores, itemId);
  const begun = await changeLedger(stores, itemId, (ledger) => retryLeft(ledger, id, nowMs));
  // It has come into use again in between.
  if (!begun.entries.some((entry) => entry.id === id && entry.state === "removing")) return undefined;
  try {
    if (!(await removeOnce(context, managed, due, lastStream))) {
      // Not `removing`: if it is recreated meanwhile, Azure says how long to wait.
      await changeLedger(stores, itemId, (ledger) => markLeft(ledger, id, clock.now()));
      return { id, state: "under-way", reason: undefined };
    }
  } catch (error) {
    if (!(error instanceof LeewardError)) throw error;
    await changeLedger(stores, itemId, (ledger) => markLeft(ledger, id, clock.now()));
    return { id, state: "left", reason: error.message };
  }
  await changeLedger(stores, itemId, (ledger) => endLeft(ledger, id));
  return { id, state: "removed", reason: undefined };
}

/**
 * True when nothing of this item exists there; false when Azure has accepted the removal: the next try finds it gone.
 */
async function removeOnce(
  context: FlowContext,
  managed: ManagedItem,
  entry: LedgerEntry,
  lastStream: number,
): Promise<boolean> {
  const { id, kind } = entry;
  if (kind === "cache-data") {
    await context.stores.removeCacheData(managed.itemId, lastStream);
    return true;
  }
  const { resourceManager } = managementOf(context);
  if (!isAtSource(entry)) {
    const found = await resourceManager.read(id);
    if (found === undefined || !(await isOursAlone(context, managed, entry, found))) return true;
  }
  const begun = await resourceManager.begin({ kind: "remove", id });
  if (begun.kind === "failed") throw new LeewardError(begun.code, begun.message, { id });
  return begun.kind === "done";
}

/** A late PUT of this item made it, and it has not come into use since. */
async function isOursAlone(
  { stores }: FlowContext,
  { itemId, plan }: ManagedItem,
  { id, kind, role }: LedgerEntry,
  found: ResourceJson,
): Promise<boolean> {
  if (itemOf(found) !== itemId) return false;
  if (kind === "virtual-network" && subnetsAdded(plan, found).length > 0) return false;
  if (role !== "shared") return true;
  const { ledgers, damaged } = await readOtherLedgers(stores, itemId);
  return damaged.length === 0 && !ledgers.flatMap(liveIds).some((live) => sameId(live, id));
}
