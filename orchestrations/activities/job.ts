import { LeewardError } from "../../replication/errors.ts";
import { changeJob, findJob } from "../../replication/jobs/job-record.ts";
import {
  type JobRecord,
  beginJob,
  cancelJob,
  endTask,
  failJob,
  isEnded,
  noteError as noteErrorIn,
  remadeJob,
  startTask,
  succeedJob,
} from "../../replication/jobs/job.ts";
import type { RunningFlow } from "../../replication/jobs/managed-item.ts";
import { type FlowContext, managedOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { errorOf, mendJob, reportOutcome } from "../../replication/operations/job-outcome.ts";
import { publishJob, publishState } from "../../replication/operations/publish.ts";
import { nothing, unlessDamaged } from "../../replication/records/damaged.ts";
import type { FlowError } from "../activity-answer.ts";
import { requireLedger } from "./ledger-repair.ts";

/**
 * Reads the request of the flow and publishes its start. Errors: `record-corrupt` for a damaged ledger: nothing is
 * begun.
 */
export async function openJob(
  context: FlowContext,
  run: FlowRun,
): Promise<Pick<RunningFlow, "endsJobId" | "failover">> {
  const { itemId, jobId } = run;
  const { running, situation } = await managedOf(context, itemId);
  if (running === undefined) throw new LeewardError("internal", "A flow runs without its request.", { itemId });
  const { endsJobId, failover, from } = running;
  await publishJob(context, await changeJob(context.stores, itemId, jobId, beginJob));
  await publishState(context, itemId, from, situation, jobId);
  await requireLedger(context, run);
  return { endsJobId, failover };
}

/** Whether the job that was taken over has stopped. `giveUp` ends it here, because no flow is left to do it. */
export async function lookOther(
  { stores, clock }: FlowContext,
  { itemId }: FlowRun,
  { jobId, giveUp }: { readonly jobId: string; readonly giveUp: boolean },
): Promise<{ readonly ended: boolean }> {
  // A flow whose record is damaged has stopped, or stops at its next step.
  const other = await unlessDamaged(() => findJob(stores, itemId, jobId), nothing);
  if (other === undefined || isEnded(other)) return { ended: true };
  if (!giveUp) return { ended: false };
  return { ended: isEnded(await changeJob(stores, itemId, jobId, (job) => cancelJob(job, clock.now()))) };
}

/**
 * Between two tasks: which ended or were skipped, and which begins. A single change of the record, so that no finished
 * task is shown as running.
 */
export interface TaskTurn {
  readonly ended: readonly { readonly name: string; readonly state: "Succeeded" | "Skipped" }[];
  /** Undefined after the last task. */
  readonly started: string | undefined;
}

export async function turnTasks(
  { stores, clock }: FlowContext,
  { itemId, jobId }: FlowRun,
  { ended, started }: TaskTurn,
): Promise<void> {
  const nowMs = clock.now();
  await changeJob(stores, itemId, jobId, (job) => {
    const after = ended.reduce((changed, { name, state }) => endTask(changed, name, state, nowMs), job);
    return started === undefined ? after : startTask(after, started, nowMs);
  });
}

/** Something went wrong and the job continues. */
export async function noteError(
  { stores, clock }: FlowContext,
  { itemId, jobId }: FlowRun,
  { name, error: { code, message, hint } }: { readonly name: string; readonly error: FlowError },
): Promise<void> {
  await changeJob(stores, itemId, jobId, (job) =>
    noteErrorIn(job, { taskName: name, code, message, hint }, clock.now()),
  );
}

export type JobEnd =
  | { readonly kind: "succeeded" }
  | { readonly kind: "cancelled" }
  | { readonly kind: "failed"; readonly error: FlowError };

/**
 * Writes the record first, then the item's state from what the record says: the end of a job is final, even when it is
 * reported twice.
 */
export async function closeJob(context: FlowContext, run: FlowRun, end: JobEnd): Promise<Pick<JobRecord, "state">> {
  const { itemId, jobId } = run;
  const nowMs = context.clock.now();
  const closed = changeJob(context.stores, itemId, jobId, (found) => {
    if (end.kind === "succeeded") return succeedJob(found, nowMs);
    return end.kind === "cancelled" ? cancelJob(found, nowMs) : failJob(found, errorOf(end.error), nowMs);
  });
  const job =
    (await unlessDamaged(() => closed, nothing)) ??
    remadeJob(run, STATES[end.kind], end.kind === "failed" ? [end.error] : [], nowMs);
  await mendJob(context.stores, job);
  await publishJob(context, job);
  await reportOutcome(context, itemId, jobId);
  return { state: job.state };
}

const STATES = { succeeded: "Succeeded", cancelled: "Cancelled", failed: "Failed" } as const;
