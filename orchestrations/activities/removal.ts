import { changeJob } from "../../replication/jobs/job-record.ts";
import { type JobLeftover, noteLeftover } from "../../replication/jobs/job.ts";
import { AZURE_BUSY_MS } from "../../replication/limits.ts";
import { type FlowContext, managedOf, managementOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { forgetNetwork } from "../../replication/planning/mapping-records.ts";
import { nothing, unlessDamaged } from "../../replication/records/damaged.ts";
import { lastStreamOf } from "../../replication/records/streams.ts";
import { judgeInUse } from "../../replication/resources/azure-lag.ts";
import { changeLedger, readLedger, readOtherLedgers } from "../../replication/resources/ledger-record.ts";
import {
  type Ledger,
  type LedgerEntry,
  type LedgerSide,
  type RemovalScope,
  beginRemoval,
  cacheEntryId,
  forgetEntry,
  intend,
  liveIds,
  markReleased,
  markRemoved,
  planRemoval,
  restoreOfEntry,
} from "../../replication/resources/ledger.ts";
import { holderLeft, inUseLeft, subnetsAdded, unreadLeft, widenedLeft } from "../../replication/resources/leftover.ts";
import type { Begun } from "../../replication/resources/resource-manager.ts";
import { removeRestore } from "../../replication/restore/remove.ts";
import { type StepAnswer, stepAnswer } from "./resources.ts";

/**
 * Marks what has to go, then checks the other items (in this order: see `beginRemoval`). Returns the ids by stage.
 * Resources never removed are released here, and the job names them.
 */
export async function planRemovals(
  context: FlowContext,
  run: FlowRun,
  { scope, side }: { readonly scope: RemovalScope; readonly side?: LedgerSide },
): Promise<readonly (readonly string[])[]> {
  const { stores, clock } = context;
  const { itemId } = run;
  const nowMs = clock.now();
  const { situation } = await managedOf(context, itemId);
  const marked = await changeLedger(stores, itemId, (ledger) => {
    // Older ledgers do not have it.
    const whole = scope === "disable" ? withCacheData(ledger, run.jobId, nowMs) : ledger;
    return beginRemoval(whole, scope, situation.activeLocation === "Recovery", nowMs);
  });
  // The other items matter only for shared resources: reading hundreds of ledgers would delay a failover for nothing.
  const shared = marked.entries.filter(({ role, state }) => role === "shared" && state === "removing");
  const { ledgers, damaged } =
    shared.length > 0 ? await readOtherLedgers(stores, itemId) : { ledgers: [], damaged: [] };
  const { stages, toRelease, toLeave } = planRemoval(marked, ledgers.flatMap(liveIds), side);
  if (toRelease.length > 0) {
    await changeLedger(stores, itemId, (ledger) =>
      toRelease.reduce((released, id) => markReleased(released, id, nowMs), ledger),
    );
  }
  for (const entry of toLeave) await leave(context, run, holderLeft(entry));
  // An item with an unreadable ledger may use any shared resource.
  const doubtful = damaged.length === 0 ? [] : stages.flat().filter(({ role }) => role === "shared");
  for (const { id } of doubtful) await leave(context, run, unreadLeft(id, damaged));
  return stages
    .map((stage) => stage.filter((entry) => !doubtful.includes(entry)).map(({ id }) => id))
    .filter((stage) => stage.length > 0);
}

function withCacheData(ledger: Ledger, jobId: string, nowMs: number): Ledger {
  const entry = { id: cacheEntryId(ledger.itemId), kind: "cache-data", role: "replication" } as const;
  return ledger.entries.some(({ kind }) => kind === "cache-data") ? ledger : intend(ledger, [entry], jobId, nowMs);
}

/** Begins to remove one resource. A resource that others use is kept, released, and named in the job. */
export async function beginRemove(
  context: FlowContext,
  run: FlowRun,
  { id }: { readonly id: string },
): Promise<StepAnswer> {
  const entry = await removingEntry(context, run, id);
  if (entry === undefined) return { kind: "done" };
  const { resourceManager } = managementOf(context);
  // A run that planned its removals in an earlier version.
  if (entry.kind === "resource-group" || entry.kind === "storage-account")
    return leave(context, run, holderLeft(entry));
  if (entry.kind === "restored-blobs") {
    // The sweep removes the rest: the record.
    await removeRestore(context, run.itemId, restoreOfEntry(entry));
    await changeLedger(context.stores, run.itemId, (ledger) => forgetEntry(ledger, id));
    return { kind: "done" };
  }
  if (entry.kind === "cache-data") {
    const lastStream = await lastStreamOf(context.stores, run.itemId);
    // Streams of a later life are minted only after its flow has taken the entry over.
    if ((await removingEntry(context, run, id)) === undefined) return { kind: "done" };
    await context.stores.removeCacheData(run.itemId, lastStream);
    return removeAnswer(context, run, entry, { kind: "done", result: undefined });
  }
  if (entry.kind === "virtual-network") {
    const added = await addedSubnets(context, run, id);
    if (added.length > 0) return leave(context, run, widenedLeft(id, added));
  }
  return removeAnswer(context, run, entry, await resourceManager.begin({ kind: "remove", id }));
}

export async function lookRemove(
  context: FlowContext,
  run: FlowRun,
  { id, operation }: { readonly id: string; readonly operation: string },
): Promise<StepAnswer> {
  const entry = await removingEntry(context, run, id);
  if (entry === undefined) return { kind: "done" };
  return removeAnswer(context, run, entry, await managementOf(context).resourceManager.poll(operation));
}

async function removingEntry(
  { stores }: FlowContext,
  { itemId }: FlowRun,
  id: string,
): Promise<LedgerEntry | undefined> {
  const { entries } = await readLedger(stores, itemId);
  return entries.find((entry) => entry.id === id && entry.state === "removing");
}

async function addedSubnets(context: FlowContext, { itemId }: FlowRun, id: string): Promise<readonly string[]> {
  const { plan } = await managedOf(context, itemId);
  return subnetsAdded(plan, await managementOf(context).resourceManager.read(id));
}

async function removeAnswer(context: FlowContext, run: FlowRun, entry: LedgerEntry, begun: Begun): Promise<StepAnswer> {
  const { stores, clock } = context;
  if (begun.kind === "failed" && begun.code === "azure-resource-conflict") {
    const inUse = judgeInUse(await readLedger(stores, run.itemId), entry.id, begun.message, clock.now());
    if (inUse.kind === "again") return { kind: "again", delayMs: AZURE_BUSY_MS, failed: undefined };
    // A failover needs the name of what it made before: there it is an error.
    if (inUse.kind === "foreign" && run.flow === "disable-protection")
      return leave(context, run, inUseLeft(entry.id, inUse.users));
  }
  const answer = stepAnswer(begun);
  // Mappings that cannot be read lead nowhere already.
  if (answer.kind === "done" && entry.kind === "virtual-network")
    await unlessDamaged(() => forgetNetwork(context.control, entry.id), nothing);
  if (answer.kind === "done")
    await changeLedger(stores, run.itemId, (ledger) => markRemoved(ledger, entry.id, clock.now()));
  return answer;
}

/** The job names it before the ledger drops it. */
async function leave(
  { stores, clock }: FlowContext,
  { itemId, jobId }: FlowRun,
  leftover: JobLeftover,
): Promise<StepAnswer> {
  await changeJob(stores, itemId, jobId, (job) => noteLeftover(job, leftover));
  await changeLedger(stores, itemId, (ledger) => markReleased(ledger, leftover.id, clock.now()));
  return { kind: "done" };
}
