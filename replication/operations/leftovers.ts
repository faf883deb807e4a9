import { compact, isOpenLeft, markLeft, markRemoved, retryLeft } from "../resources/ledger.ts";
import type { LedgerEntry } from "../resources/ledger.ts";
import { changeLedger, readLedger } from "../resources/ledger-record.ts";
import { LeewardError } from "../errors.ts";
import { findManaged } from "../jobs/managed-item.ts";
import { LEFT_RETRY_MS } from "../limits.ts";
import { lastStreamOf } from "../records/streams.ts";
import { type FlowContext, managementOf } from "./context.ts";

/** What became of the one leftover that was tried. */
export interface LeftoverTry {
  readonly id: string;
  readonly state: "removed" | "under-way" | "left";
  readonly reason: string | undefined;
}

/**
 * The sweep's part of a disabling that the source region held up: tries one thing that was left, at most once in
 * LEFT_RETRY_MS. Not while the item is protected again: then the next disabling does it. Undefined: nothing is due.
 */
export async function retryLeftover(context: FlowContext, itemId: string): Promise<LeftoverTry | undefined> {
  const { stores, clock, management } = context;
  const managed = management === undefined ? undefined : await findManaged(stores, itemId);
  if (managed === undefined || managed.situation.state !== "Unprotected" || managed.situation.job !== undefined)
    return undefined;
  const nowMs = clock.now();
  const isDue = (entry: LedgerEntry): boolean => isOpenLeft(entry) && nowMs - (entry.changedMs ?? 0) >= LEFT_RETRY_MS;
  const due = (await readLedger(stores, itemId)).entries.find(isDue);
  if (due === undefined) return undefined;
  const { id } = due;
  // Before the mark: whoever protects the item again meanwhile waits for the mark first, and mints streams afterwards.
  const lastStream = await lastStreamOf(stores, itemId);
  const begun = await changeLedger(stores, itemId, (ledger) => retryLeft(ledger, id, nowMs));
  // It was taken into use again in between.
  if (!begun.entries.some((entry) => entry.id === id && entry.state === "removing")) return undefined;
  try {
    if (!(await removeOnce(context, itemId, due, lastStream))) {
      // Not `removing`: who makes it anew meanwhile is told by Azure how long to wait.
      await changeLedger(stores, itemId, (ledger) => markLeft(ledger, id, clock.now()));
      return { id, state: "under-way", reason: undefined };
    }
  } catch (error) {
    if (!(error instanceof LeewardError)) throw error;
    await changeLedger(stores, itemId, (ledger) => markLeft(ledger, id, clock.now()));
    return { id, state: "left", reason: error.message };
  }
  await changeLedger(stores, itemId, (ledger) => compact(markRemoved(ledger, id, clock.now())));
  return { id, state: "removed", reason: undefined };
}

/** False when Azure has taken it on: the next try finds it gone. */
async function removeOnce(
  context: FlowContext,
  itemId: string,
  { id, kind }: LedgerEntry,
  lastStream: number,
): Promise<boolean> {
  if (kind === "cache-data") {
    await context.stores.removeCacheData(itemId, lastStream);
    return true;
  }
  const begun = await managementOf(context).resourceManager.begin({ kind: "remove", id });
  if (begun.kind === "failed") throw new LeewardError(begun.code, begun.message, { id });
  return begun.kind === "done";
}
