import type { LeewardError } from "../errors.ts";
import { findJob, replaceJob } from "../jobs/job-record.ts";
import { type JobRecord, isEnded } from "../jobs/job.ts";
import { changeManaged, findManaged } from "../jobs/managed-item.ts";
import type { ItemStores } from "../ports.ts";
import { nothing, unlessDamaged } from "../records/damaged.ts";
import { decideOutcome } from "../states/decide.ts";
import { type PublishContext, publishState } from "./publish.ts";

/** Replaces an unreadable record with the job. */
export async function mendJob(stores: ItemStores, job: JobRecord): Promise<void> {
  if ((await unlessDamaged(() => findJob(stores, job.itemId, job.jobId), nothing)) === undefined)
    await replaceJob(stores, job);
}

/** What a job keeps of an error. */
export const errorOf = ({ code, message, hint }: Pick<LeewardError, "code" | "message" | "hint">) => ({
  code,
  message,
  hint,
});

/**
 * Rule 6 of the flows: an outcome that a crash left unreported is reported by the next run that finds it. True when
 * something changed. The job's record already holds the outcome, so it is published first: after a crash in between it
 * is published again.
 */
export async function reportOutcome(context: PublishContext, itemId: string, jobId: string): Promise<boolean> {
  const { stores } = context;
  // Ending a job with a damaged record rebuilds it.
  const job = await unlessDamaged(() => findJob(stores, itemId, jobId), nothing);
  const before = await findManaged(stores, itemId);
  if (job === undefined || !isEnded(job) || before?.situation.job?.jobId !== jobId) return false;
  const outcome = job.state === "Succeeded" ? "JobSucceeded" : "JobFailed";
  await publishState(context, itemId, before.situation, decideOutcome(before.situation, jobId, outcome), jobId);
  await changeManaged(stores, itemId, (managed) => {
    const situation = decideOutcome(managed.situation, jobId, outcome);
    return situation === managed.situation ? managed : { ...managed, situation, running: undefined };
  });
  return true;
}
