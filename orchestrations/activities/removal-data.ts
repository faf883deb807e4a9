import { LeewardError } from "../../replication/errors.ts";
import { changeJob } from "../../replication/jobs/job-record.ts";
import { noteLeftover } from "../../replication/jobs/job.ts";
import { type FlowContext, managementOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { changeItem, findReadableItem } from "../../replication/records/item-record.ts";
import { requireSameLife } from "../../replication/records/streams.ts";
import { parsePath } from "../../replication/resources/ids.ts";
import { changeLedger, readLedger } from "../../replication/resources/ledger-record.ts";
import { compact, isEmpty, leftovers, markLeft, markSeen } from "../../replication/resources/ledger.ts";
import { unreachedLeft } from "../../replication/resources/leftover.ts";
import type { FlowError } from "../activity-answer.ts";
import { lastStreamOfRun } from "./last-stream.ts";

/**
 * Revokes the service's tokens; deltas already uploaded stay. With a damaged record no token is valid anyway. Errors:
 * `conflict` when the item lives again.
 */
export async function silenceSource({ stores }: FlowContext, run: FlowRun): Promise<void> {
  const { itemId } = run;
  const lastStream = await lastStreamOfRun(stores, run);
  if ((await findReadableItem(stores, itemId)) === undefined) return;
  await changeItem(stores, itemId, (item) => {
    requireSameLife(item, lastStream);
    return item.tokenHash === undefined && item.nextTokenHash === undefined && item.registrationHash === undefined
      ? item
      : { ...item, tokenHash: undefined, nextTokenHash: undefined, registrationHash: undefined };
  });
}

/** Removes a part of what the target account keeps of the item. */
export async function removeTargetData({ stores }: FlowContext, run: FlowRun): Promise<{ readonly more: boolean }> {
  return stores.removeTargetData(run.itemId, await lastStreamOfRun(stores, run));
}

/** Last, when all else is gone. */
export async function forgetItem({ stores }: FlowContext, run: FlowRun): Promise<void> {
  await stores.forgetItem(run.itemId, await lastStreamOfRun(stores, run));
}

/** For runs of version 2: everything at once. */
export async function removeData({ stores }: FlowContext, run: FlowRun): Promise<void> {
  const { itemId } = run;
  const lastStream = await lastStreamOfRun(stores, run);
  while ((await stores.removeTargetData(itemId, lastStream)).more);
  await stores.removeCacheData(itemId, lastStream);
  await stores.forgetItem(itemId, lastStream);
}

/** The source region did not release these in time: the job names them, and the ledger keeps them for the sweep. */
export async function leaveAtSource(
  { stores, clock }: FlowContext,
  { itemId, jobId }: FlowRun,
  { ids, error }: { readonly ids: readonly string[]; readonly error: FlowError },
): Promise<void> {
  const { entries } = await readLedger(stores, itemId);
  for (const entry of entries.filter(({ id, state }) => ids.includes(id) && state === "removing")) {
    await changeJob(stores, itemId, jobId, (job) => noteLeftover(job, unreachedLeft(entry, error.message)));
    await changeLedger(stores, itemId, (ledger) => markLeft(ledger, entry.id, clock.now()));
  }
}

/**
 * Checks that everything removed is gone; what still exists is to be removed again. Errors: `conflict` with the
 * leftovers, which is retryable: Azure lists removed resources for some minutes.
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
