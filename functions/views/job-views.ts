import type { job as shownJob } from "../../api/jobs.ts";
import type { Told } from "../../api/operation.ts";
import { LeewardError } from "../../replication/errors.ts";
import { type JobRecord, stateDescription } from "../../replication/jobs/job.ts";
import { isItemId } from "../../replication/names.ts";
import { optionalTimeView, timeView } from "./time-view.ts";

/** A job as the API shows it, in Site Recovery's terms. Its name includes the item, so that one read finds it. */
export function jobView(job: JobRecord): Told<typeof shownJob> {
  const {
    jobId,
    itemId,
    scenarioName,
    friendlyName,
    state,
    tasks,
    errors,
    leftovers,
    startedMs,
    endedMs,
    alertId,
    pointId,
  } = job;
  const times = (started: number | undefined, ended: number | undefined) => ({
    startTime: optionalTimeView(started),
    endTime: optionalTimeView(ended),
  });
  return {
    name: jobName(job),
    activityId: jobId,
    targetObjectName: itemId,
    scenarioName,
    friendlyName,
    state,
    stateDescription: stateDescription(job),
    ...times(startedMs, endedMs),
    alertId,
    recoveryPointId: pointId,
    tasks: tasks.map((task) => ({
      name: task.name,
      friendlyName: task.friendlyName,
      state: task.state,
      ...times(task.startedMs, task.endedMs),
    })),
    errors: errors.map(({ taskName, code, message, hint, atMs }) => ({
      taskName,
      code,
      message,
      hint,
      creationTime: timeView(atMs),
    })),
    leftovers: leftovers?.map(({ id, message, hint }) => ({ id, message, hint })),
  };
}

export const jobPath = (job: Pick<JobRecord, "itemId" | "jobId">): string => `/api/replicationJobs/${jobName(job)}`;

export const jobName = ({ itemId, jobId }: Pick<JobRecord, "itemId" | "jobId">): string => `${itemId}.${jobId}`;

/** Errors: `job-unknown` for text that cannot be a job's name. */
export function parseJobName(name: string): { readonly itemId: string; readonly jobId: string } {
  const [itemId = "", jobId = "", ...rest] = name.split(".");
  if (!isItemId(itemId) || rest.length > 0) throw jobUnknown(name);
  return { itemId, jobId };
}

export function jobUnknown(name: string): LeewardError {
  return new LeewardError("job-unknown", `There is no job "${name}".`, { name });
}
