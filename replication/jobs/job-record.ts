import { LeewardError } from "../errors.ts";
import { changeRecord, readRecord } from "../items/change-record.ts";
import { JOBS_KEPT_MAX_COUNT, JOBS_LIST_MAX_COUNT } from "../limits.ts";
import type { ItemStores } from "../ports.ts";
import { type JobRecord, isEnded } from "./job.ts";

const JOBS_PREFIX = "jobs/";
const jobName = (jobId: string): string => `${JOBS_PREFIX}${jobId}.json`;

/** Undefined if there is none; text that is no job id never reaches the store. Errors: `record-corrupt`. */
export async function findJob(stores: ItemStores, itemId: string, jobId: string): Promise<JobRecord | undefined> {
  return /^[0-9a-f]{32}$/.test(jobId) ? readRecord<JobRecord>(stores.records(itemId), jobName(jobId), 1) : undefined;
}

/** The record as it stands, made from `job` when there is none. */
export function ensureJob(stores: ItemStores, job: JobRecord): Promise<JobRecord> {
  return changeRecord<JobRecord>(stores.records(job.itemId), jobName(job.jobId), 1, (found) => found ?? job);
}

/** Errors: `internal` when there is no such job, `record-corrupt`, `conflict`. */
export function changeJob(stores: ItemStores, itemId: string, jobId: string, change: (job: JobRecord) => JobRecord): Promise<JobRecord> {
  return changeRecord<JobRecord>(stores.records(itemId), jobName(jobId), 1, (found) => {
    if (found === undefined) throw new LeewardError("internal", "A flow has a job record before it starts.", { itemId, jobId });
    return change(found);
  });
}

/** Removes the oldest ended jobs of an item beyond JOBS_KEPT_MAX_COUNT; `running` stays, whatever its record says. */
export async function forgetOldJobs(stores: ItemStores, itemId: string, running: string | undefined): Promise<void> {
  const records = stores.records(itemId);
  if ((await records.list(JOBS_PREFIX, JOBS_KEPT_MAX_COUNT + 1)).length <= JOBS_KEPT_MAX_COUNT) return;
  const jobs = await listJobs(stores, itemId);
  const ended = jobs.filter((job) => isEnded(job) && job.jobId !== running);
  const surplus = ended.slice(Math.max(0, ended.length - (jobs.length - JOBS_KEPT_MAX_COUNT)));
  for (const { jobId } of surplus) await records.remove(jobName(jobId));
}

/** Newest first. */
export async function listJobs(stores: ItemStores, itemId: string): Promise<readonly JobRecord[]> {
  const records = stores.records(itemId);
  const names = await records.list(JOBS_PREFIX, JOBS_LIST_MAX_COUNT);
  const jobs = await Promise.all(names.map(({ name }) => readRecord<JobRecord>(records, name, 1)));
  return jobs.filter((job) => job !== undefined).toSorted((one, other) => other.startedMs - one.startedMs);
}
