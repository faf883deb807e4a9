import type { LeewardError } from "../errors.ts";
import { type JobRecord, isEnded } from "../jobs/job.ts";
import { findJob, replaceJob } from "../jobs/job-record.ts";
import { changeManaged, findManaged } from "../jobs/managed-item.ts";
import type { ItemStores } from "../ports.ts";
import { nothing, unlessDamaged } from "../records/damaged.ts";
import { decideOutcome } from "../states/decide.ts";
import { type PublishContext, publishState } from "./publish.ts";

/** Puts the job in the place of a record that cannot be read. */
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
 * Rule 6 of the flows: what a crash kept back is reported by whoever finds it. True when something changed. The record
 * of the job says already what comes now, so that it is told first: who dies in between tells it again.
 */
export async function reportOutcome(context: PublishContext, itemId: string, jobId: string): Promise<boolean> {
  const { stores } = context;
  // Who ends a job whose record is damaged makes it anew.
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
