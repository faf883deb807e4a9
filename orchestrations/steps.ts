import {
  FLOW_ACTIVITY_MAX_TRIES,
  FLOW_FIRST_LOOK_MS,
  FLOW_GROWN_PAUSE_MS,
  FLOW_LOOK_MS,
  FLOW_PAUSE_MAX_MS,
  FLOW_PAUSE_MS,
} from "../replication/limits.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";
import type { TaskTurn } from "./activities/job.ts";
import type { Activities, ActivityName } from "./activities/table.ts";
import type { ActivityAnswer, ActivityRequest, FlowError } from "./activity-answer.ts";

/**
 * A flow as plain data in, descriptions of work out: a driver does the work and returns the result (a test by hand,
 * Azure by durable-functions).
 */
export type Flow<Result> = Generator<Step, Result, unknown>;

export type Step = (
  | { readonly kind: "activity"; readonly name: ActivityName; readonly request: ActivityRequest }
  | { readonly kind: "wait"; readonly delayMs: number }
) & {
  /** The flow continues without it (`bestEffort`). A host can ignore this. */
  readonly bestEffort?: BestEffort;
};

/** What a flow does if it can and otherwise continues without. */
export interface BestEffort {
  /** Its task in the job. */
  readonly task: string;
  /** How long its pauses may delay the flow in total, in milliseconds. */
  readonly maxMs: number;
}

type InputOf<Name extends ActivityName> = Parameters<Activities[Name]>[2];
type OutputOf<Name extends ActivityName> = Awaited<ReturnType<Activities[Name]>>;

/** Ends a flow; the job's record gets the error. */
export class FlowFailure extends Error {
  override readonly name = "FlowFailure";
  readonly error: FlowError;

  constructor(error: FlowError) {
    super(error.message);
    this.error = error;
  }
}

/** Another job has taken over. */
export class Superseded extends Error {
  override readonly name = "Superseded";
}

/** For work that must not be waited for as long as usual. */
export interface CallBounds {
  readonly pauseMaxMs?: number;
  readonly maxTries?: number;
}

/**
 * Runs an activity, and again after a pause while its failure is transient. A bounded call does not wait as long as
 * Azure asks. Throws FlowFailure, Superseded.
 */
export function* call<Name extends ActivityName>(
  run: FlowRun,
  name: Name,
  input: InputOf<Name>,
  { pauseMaxMs = FLOW_PAUSE_MAX_MS, maxTries = FLOW_ACTIVITY_MAX_TRIES }: CallBounds = {},
): Flow<OutputOf<Name>> {
  for (let tries = 1; ; tries += 1) {
    const answer = (yield { kind: "activity", name, request: { run, input } }) as ActivityAnswer<OutputOf<Name>>;
    if (answer.kind === "done") return answer.value;
    if (answer.kind === "superseded") throw new Superseded();
    if (!answer.error.retryable || tries >= maxTries) throw new FlowFailure(answer.error);
    const askedMs = pauseMaxMs < FLOW_PAUSE_MAX_MS ? 0 : (answer.error.retryAfterMs ?? 0);
    yield* wait(Math.max(Math.min(FLOW_PAUSE_MS * 2 ** (tries - 1), pauseMaxMs), askedMs));
  }
}

/** A durable timer. */
export function* wait(delayMs: number): Flow<void> {
  yield { kind: "wait", delayMs };
}

/**
 * The next pause of a wait: never shorter than requested. With no request (0) it begins short and doubles up to
 * FLOW_LOOK_MS. After that it is a sixteenth of the time waited so far, up to a minute, so that the history of a wait
 * of hours stays short to replay.
 */
export function growingPauseMs(askedMs: number, waitedMs: number): number {
  const leastMs = askedMs > 0 ? askedMs : Math.min(Math.max(waitedMs, FLOW_FIRST_LOOK_MS), FLOW_LOOK_MS);
  return Math.max(leastMs, Math.min(Math.floor(waitedMs / 16), FLOW_GROWN_PAUSE_MS));
}

/** Pauses before the next poll; returns the total time waited. */
export function* waitOn(askedMs: number, waitedMs: number): Flow<number> {
  const pauseMs = growingPauseMs(askedMs, waitedMs);
  yield* wait(pauseMs);
  return waitedMs + pauseMs;
}

/** How long a wait may last, and how often it polls. */
interface Patience {
  /** At least this long between two polls (milliseconds); 0: as `growingPauseMs` says. */
  readonly pauseMs?: number;
  /** A longer wait throws `late`; without it the probe itself has to end. */
  readonly maxMs?: number;
  readonly late?: () => FlowFailure;
}

/**
 * Probes until something is found, with a durable pause after each probe that finds nothing. The probe receives the
 * time waited so far, in milliseconds.
 */
export function* until<Found>(
  probe: (waitedMs: number) => Flow<Found | undefined>,
  { pauseMs = 0, maxMs = Number.POSITIVE_INFINITY, late }: Patience = {},
): Flow<Found> {
  for (let waitedMs = 0; ;) {
    const found = yield* probe(waitedMs);
    if (found !== undefined) return found;
    if (late !== undefined && waitedMs >= maxMs) throw late();
    waitedMs = yield* waitOn(pauseMs, waitedMs);
  }
}

/** The tasks of a job, as its flow goes through them. */
export interface Tasks {
  /** Does the work of a task and returns its result. A task that its own work has ended keeps that end. */
  readonly work: <Result>(name: string, work: Flow<Result>) => Flow<Result>;
  /** Skips a task. */
  readonly skip: (name: string) => void;
}

/**
 * Reports to the job where each task begins and ends: an end is reported with the next beginning, and once at the end.
 */
export function* inTasks(run: FlowRun, flow: (tasks: Tasks) => Flow<void>): Flow<void> {
  let ended: TaskTurn["ended"] = [];
  yield* flow({
    *work(name, work) {
      yield* call(run, "turnTasks", { ended, started: name });
      const result = yield* work;
      ended = [{ name, state: "Succeeded" }];
      return result;
    },
    skip: (name) => {
      ended = [...ended, { name, state: "Skipped" }];
    },
  });
  yield* call(run, "turnTasks", { ended, started: undefined });
}
