import { createHash } from "node:crypto";
import { canonicalDigest } from "../canonical-json.ts";
import { LeewardError, invariant } from "../errors.ts";
import { CALLER_ID_MAX_LENGTH, JOB_ERRORS_MAX_COUNT, JOB_LEFTOVERS_MAX_COUNT } from "../limits.ts";
import { requireField } from "../records/request-rules.ts";
import type { Flow } from "../states/states.ts";
import { SCENARIOS } from "./scenarios.ts";

/** Site Recovery's states of jobs and tasks (its `Other` is never needed). */
type JobState = "NotStarted" | "InProgress" | "Succeeded" | "Failed" | "Cancelled" | "Suspended";
type TaskState = JobState | "Skipped";

interface JobTask {
  readonly name: string;
  readonly friendlyName: string;
  readonly state: TaskState;
  readonly startedMs: number | undefined;
  readonly endedMs: number | undefined;
}

export interface JobError {
  /** The task that failed; undefined when none was running. */
  readonly taskName: string | undefined;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly atMs: number;
}

/** Something that Leeward made and that still exists at the end of the job. */
export interface JobLeftover {
  /** Resource Manager id, or the name of data in a storage account. */
  readonly id: string;
  /** Why it remains. */
  readonly message: string;
  /** How to remove it. */
  readonly hint: string;
}

/**
 * One run of a flow, from the request to its end. Times are Unix milliseconds of the target's clock, and never decrease
 * within a job.
 */
export interface JobRecord {
  readonly version: 1;
  readonly jobId: string;
  readonly itemId: string;
  readonly flow: Flow;
  /** The version of the flows whose tasks these are; undefined in older records (`versionOf`). */
  readonly flowVersion?: number | undefined;
  readonly scenarioName: string;
  readonly friendlyName: string;
  readonly state: JobState;
  readonly tasks: readonly JobTask[];
  readonly errors: readonly JobError[];
  /** What the job leaves behind: it succeeds, but does not report that all is well. */
  readonly leftovers?: readonly JobLeftover[] | undefined;
  readonly startedMs: number;
  readonly endedMs: number | undefined;
  /** The alert that requested it; undefined for a person's request. */
  readonly alertId?: string | undefined;
  /** The recovery point chosen by a failover. */
  readonly pointId?: string | undefined;
  /** Digest of the request, so that one operation id cannot stand for two requests. */
  readonly requestDigest: string;
}

export interface JobRequest {
  readonly itemId: string;
  readonly flow: Flow;
  readonly flowVersion?: number | undefined;
  /** The caller's own id of this request (`x-ms-client-request-id`): the same id is the same job. */
  readonly operationId: string;
  /** The whole request, as JSON. */
  readonly request: unknown;
  readonly alertId?: string | undefined;
}

/** A job that has not begun. Errors: `invalid-request` for an operation id that is empty or too long. */
export function newJob(
  { itemId, flow, flowVersion, operationId, request, alertId }: JobRequest,
  nowMs: number,
): JobRecord {
  const { scenarioName, friendlyName, tasks } = SCENARIOS[flow];
  return {
    version: 1,
    jobId: jobIdOf(itemId, operationId),
    itemId,
    flow,
    flowVersion,
    scenarioName,
    friendlyName,
    state: "NotStarted",
    tasks: tasks.map(([name, taskFriendlyName]) => ({
      name,
      friendlyName: taskFriendlyName,
      state: "NotStarted",
      startedMs: undefined,
      endedMs: undefined,
    })),
    errors: [],
    startedMs: nowMs,
    endedMs: undefined,
    alertId,
    requestDigest: canonicalDigest({ flow, request }),
  };
}

/** 32 hex digits: the same operation of the same item is the same job. Errors: `invalid-request`. */
export function jobIdOf(itemId: string, operationId: string): string {
  requireField(
    operationId.length > 0 && operationId.length <= CALLER_ID_MAX_LENGTH,
    "operationId",
    `1 to ${CALLER_ID_MAX_LENGTH} characters`,
  );
  return createHash("sha256").update(`leeward-job-1\n${itemId}\n${operationId}`, "utf8").digest("hex").slice(0, 32);
}

/** Throws `conflict` when a job of this operation id was made for another request; the same request is a repetition. */
export function requireSameRequest(job: JobRecord, { flow, request }: JobRequest): void {
  if (job.requestDigest === canonicalDigest({ flow, request })) return;
  throw new LeewardError(
    "conflict",
    "This operation id was used for another request.",
    { jobId: job.jobId, itemId: job.itemId },
    { hint: "Use a new operation id for each new request." },
  );
}

/** The flow has begun. */
export function beginJob(job: JobRecord): JobRecord {
  return job.state === "NotStarted" ? { ...job, state: "InProgress" } : job;
}

/** A task begins; a running or ended task is left as it is. */
export function startTask(job: JobRecord, name: string, nowMs: number): JobRecord {
  requireTask(job, name);
  if (isEnded(job)) return job;
  const atMs = later(job, nowMs);
  return changeTask(
    job,
    name,
    (task) => (task.state === "NotStarted" ? { ...task, state: "InProgress", startedMs: atMs } : task),
    "InProgress",
  );
}

/** A task succeeds or is skipped; an ended task is left as it is. */
export function endTask(job: JobRecord, name: string, state: "Succeeded" | "Skipped", nowMs: number): JobRecord {
  requireTask(job, name);
  if (isEnded(job)) return job;
  const atMs = later(job, nowMs);
  const end = (task: JobTask): JobTask =>
    isTaskEnded(task) ? task : { ...task, state, startedMs: task.startedMs ?? atMs, endedMs: atMs };
  return changeTask(job, name, end, "InProgress");
}

/** The job waits for an operator (a manual action) until `resumeJob`. Only a running job can. */
export function suspendJob(job: JobRecord): JobRecord {
  return job.state === "InProgress" ? { ...job, state: "Suspended" } : job;
}

export function resumeJob(job: JobRecord): JobRecord {
  return job.state === "Suspended" ? { ...job, state: "InProgress" } : job;
}

/** Every task must have ended: a job does not succeed merely by being told so. */
export function succeedJob(job: JobRecord, nowMs: number): JobRecord {
  if (isEnded(job)) return job;
  const open = job.tasks.find((task) => !isTaskEnded(task));
  invariant(open === undefined, "every task of a job that succeeds has ended", { jobId: job.jobId, task: open?.name });
  return { ...job, state: "Succeeded", endedMs: later(job, nowMs) };
}

/** The point that a failover uses, once chosen. */
export function choosePointOf(job: JobRecord, pointId: string): JobRecord {
  return job.pointId === pointId || isEnded(job) ? job : { ...job, pointId };
}

/** The running tasks fail with the job; those that never began are marked so. */
export function failJob(job: JobRecord, error: Pick<JobError, "code" | "message" | "hint">, nowMs: number): JobRecord {
  if (isEnded(job)) return job;
  const atMs = later(job, nowMs);
  const failed = job.tasks.filter(isRunning).map(({ name }) => name);
  const errors = (failed.length === 0 ? [undefined] : failed).map((taskName) => ({ ...error, taskName, atMs }));
  return {
    ...endRunning(job, "Failed", atMs),
    state: "Failed",
    endedMs: atMs,
    errors: [...job.errors, ...errors].slice(0, JOB_ERRORS_MAX_COUNT),
  };
}

/**
 * Something went wrong and the job continues, for example a source that could not be shut down. The same error of the
 * same task is kept once.
 */
export function noteError(job: JobRecord, error: Omit<JobError, "atMs">, nowMs: number): JobRecord {
  const { taskName, code, message } = error;
  const known = job.errors.some(
    (noted) => noted.taskName === taskName && noted.code === code && noted.message === message,
  );
  if (known || isEnded(job)) return job;
  return { ...job, errors: [...job.errors, { ...error, atMs: later(job, nowMs) }].slice(0, JOB_ERRORS_MAX_COUNT) };
}

/** Something remains. Each thing is named once, with the last reason. */
export function noteLeftover(job: JobRecord, leftover: JobLeftover): JobRecord {
  const known = job.leftovers ?? [];
  const isNoted = known.some(({ id, message }) => id === leftover.id && message === leftover.message);
  if (isNoted || isEnded(job)) return job;
  return {
    ...job,
    leftovers: [...known.filter(({ id }) => id !== leftover.id), leftover].slice(0, JOB_LEFTOVERS_MAX_COUNT),
  };
}

/** Abandoned: by its operator, or because another job took over. */
export function cancelJob(job: JobRecord, nowMs: number): JobRecord {
  if (isEnded(job)) return job;
  const atMs = later(job, nowMs);
  return { ...endRunning(job, "Cancelled", atMs), state: "Cancelled", endedMs: atMs };
}

/**
 * Replaces a record that was damaged while its flow ran: the flow's end is known, what its tasks did is not. The record
 * says so, so that a successful job does not look like a plain success.
 */
export function remadeJob(
  { itemId, jobId, flow }: Pick<JobRecord, "itemId" | "jobId" | "flow">,
  state: "Succeeded" | "Failed" | "Cancelled",
  errors: readonly Pick<JobError, "code" | "message" | "hint">[],
  nowMs: number,
): JobRecord {
  const fresh = newJob({ itemId, flow, operationId: jobId, request: undefined }, nowMs);
  const lost = new LeewardError(
    "record-corrupt",
    "The record of this job was damaged while it ran: what its tasks did is not known.",
    {},
    {
      hint: "Look at the item: its state is right.",
    },
  );
  return {
    ...fresh,
    jobId,
    state,
    endedMs: nowMs,
    errors: [lost, ...errors].map(({ code, message, hint }) => ({
      taskName: undefined,
      code,
      message,
      hint,
      atMs: nowMs,
    })),
  };
}

/** Site Recovery's `stateDescription`. */
export function stateDescription({ state, errors, leftovers = [] }: JobRecord): string {
  if (state === "Suspended") return "Waiting for input";
  if (state !== "Succeeded") return state;
  return errors.length + leftovers.length > 0 ? "CompletedWithInformation" : "Completed";
}

/** The end of a job is final: later reports change nothing. */
export function isEnded({ state }: JobRecord): boolean {
  return state === "Succeeded" || state === "Failed" || state === "Cancelled";
}

const isRunning = ({ state }: JobTask): boolean => state === "InProgress" || state === "Suspended";
const isTaskEnded = ({ state }: JobTask): boolean =>
  state !== "NotStarted" && state !== "InProgress" && state !== "Suspended";

function requireTask(job: JobRecord, name: string): void {
  invariant(
    job.tasks.some((task) => task.name === name),
    "the job has this task",
    { jobId: job.jobId, flow: job.flow, task: name },
  );
}

/** Returns the same job when nothing changes, so that nothing is written. */
function changeTask(job: JobRecord, name: string, change: (task: JobTask) => JobTask, running: JobState): JobRecord {
  const tasks = job.tasks.map((task) => (task.name === name ? change(task) : task));
  const state = job.state === "NotStarted" ? running : job.state;
  return state === job.state && tasks.every((task, at) => task === job.tasks[at]) ? job : { ...job, state, tasks };
}

function endRunning(job: JobRecord, state: "Failed" | "Cancelled", atMs: number): JobRecord {
  return { ...job, tasks: job.tasks.map((task) => (isRunning(task) ? { ...task, state, endedMs: atMs } : task)) };
}

/** A clock that was set back gives no time before those already recorded. */
function later({ startedMs, tasks }: JobRecord, nowMs: number): number {
  return tasks.reduce(
    (latest, task) => Math.max(latest, task.startedMs ?? 0, task.endedMs ?? 0),
    Math.max(startedMs, nowMs),
  );
}
