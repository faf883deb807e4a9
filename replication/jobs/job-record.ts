import { mapConcurrently, present } from "../concurrency.ts";
import { LeewardError } from "../errors.ts";
import { JOBS_KEPT_MAX_COUNT, JOBS_LIST_MAX_COUNT, POINT_READS_IN_FLIGHT } from "../limits.ts";
import type { ItemStores } from "../ports.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import { type JobRecord, isEnded } from "./job.ts";

const JOBS_PREFIX = "jobs/";

function jobRecord(stores: ItemStores, itemId: string, jobId: string): RecordAt<JobRecord> {
  return recordAt<JobRecord>(stores.management(itemId), {
    name: `${JOBS_PREFIX}${jobId}.json`,
    version: 1,
    owner: { itemId, jobId },
    missing: () => new LeewardError("internal", "A flow has a job record before it starts.", { itemId, jobId }),
  });
}

/** Undefined if there is none; text that is no job id never reaches the store. Errors: `record-corrupt`. */
export async function findJob(stores: ItemStores, itemId: string, jobId: string): Promise<JobRecord | undefined> {
  return /^[0-9a-f]{32}$/.test(jobId) ? (await jobRecord(stores, itemId, jobId).find())?.body : undefined;
}

/** The current record, made from `job` when there is none. */
export function ensureJob(stores: ItemStores, job: JobRecord): Promise<JobRecord> {
  return jobRecord(stores, job.itemId, job.jobId).upsert((found) => found ?? job);
}

/** Errors: `internal` when there is no such job, `record-corrupt`, `conflict`. */
export function changeJob(
  stores: ItemStores,
  itemId: string,
  jobId: string,
  change: (job: JobRecord) => JobRecord,
): Promise<JobRecord> {
  return jobRecord(stores, itemId, jobId).change(change);
}

/** Replaces a damaged record, whose flow has ended. */
export async function replaceJob(stores: ItemStores, job: JobRecord): Promise<void> {
  await jobRecord(stores, job.itemId, job.jobId).put(job);
}

/** Removes the oldest ended jobs of an item beyond JOBS_KEPT_MAX_COUNT; `running` stays, whatever its record says. */
export async function forgetOldJobs(stores: ItemStores, itemId: string, running: string | undefined): Promise<void> {
  const records = stores.management(itemId);
  if ((await records.list(JOBS_PREFIX, JOBS_KEPT_MAX_COUNT + 1)).length <= JOBS_KEPT_MAX_COUNT) return;
  const { jobs } = await listJobs(stores, itemId);
  const ended = jobs.filter((job) => isEnded(job) && job.jobId !== running);
  const surplus = ended.slice(Math.max(0, ended.length - (jobs.length - JOBS_KEPT_MAX_COUNT)));
  for (const { jobId } of surplus) await jobRecord(stores, itemId, jobId).remove();
}

export interface JobList {
  /** Newest first. */
  readonly jobs: readonly JobRecord[];
  /** Ids of those with an unreadable record. */
  readonly damaged: readonly string[];
}

export async function listJobs(stores: ItemStores, itemId: string): Promise<JobList> {
  const names = await stores.management(itemId).list(JOBS_PREFIX, JOBS_LIST_MAX_COUNT);
  const ids = names.flatMap(({ name }) => /^jobs\/([0-9a-f]{32})\.json$/.exec(name)?.[1] ?? []);
  const damaged: string[] = [];
  const found = await mapConcurrently(POINT_READS_IN_FLIGHT, ids, (jobId) =>
    unlessDamaged(
      () => findJob(stores, itemId, jobId),
      () => {
        damaged.push(jobId);
        return undefined;
      },
    ),
  );
  return {
    jobs: present(found).toSorted((one, other) => other.startedMs - one.startedMs),
    damaged: damaged.toSorted(),
  };
}
