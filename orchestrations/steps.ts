import {
  FLOW_ACTIVITY_MAX_TRIES,
  FLOW_FIRST_LOOK_MS,
  FLOW_GROWN_PAUSE_MS,
  FLOW_LOOK_MS,
  FLOW_PAUSE_MAX_MS,
  FLOW_PAUSE_MS,
} from "../replication/limits.ts";
import type { TaskTurn } from "./activities/job.ts";
import type { Activities, ActivityName } from "./activities/table.ts";
import type { ActivityAnswer, ActivityRequest, FlowError } from "./activity-answer.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";

/**
 * A flow as plain data in, descriptions of work out: a driver does the work and hands the result back (a test by hand,
 * Azure by durable-functions).
 */
export type Flow<Result> = Generator<Step, Result, unknown>;

export type Step = (
  | { readonly kind: "activity"; readonly name: ActivityName; readonly request: ActivityRequest }
  | { readonly kind: "wait"; readonly delayMs: number }
) & {
  /** The flow goes on without it (`bestEffort`). A host does not need to know. */
  readonly bestEffort?: BestEffort;
};

/** What a flow does when it can, and goes on without when it cannot. */
export interface BestEffort {
  /** Its task in the job. */
  readonly task: string;
  /** How long its pauses may hold the flow up, in milliseconds, all together. */
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

/** For what must not be waited for as long as usual. */
export interface CallBounds {
  readonly pauseMaxMs?: number;
  readonly maxTries?: number;
}

/**
 * Runs an activity, and again after a pause while its failure can pass. Who has no time does not wait as long as Azure
 * asks. Throws FlowFailure, Superseded.
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
 * The next pause of a wait: never shorter than what was asked for. Where nobody asked (0) it begins short and doubles
 * up to FLOW_LOOK_MS. After that it is a sixteenth of the time waited so far, up to a minute, so that hours of waiting
 * stay a short history to replay.
 */
export function growingPauseMs(askedMs: number, waitedMs: number): number {
  const leastMs = askedMs > 0 ? askedMs : Math.min(Math.max(waitedMs, FLOW_FIRST_LOOK_MS), FLOW_LOOK_MS);
  return Math.max(leastMs, Math.min(Math.floor(waitedMs / 16), FLOW_GROWN_PAUSE_MS));
}

/** Pauses before the next look; answers how long the wait has been then. */
export function* waitOn(askedMs: number, waitedMs: number): Flow<number> {
  const pauseMs = growingPauseMs(askedMs, waitedMs);
  yield* wait(pauseMs);
  return waitedMs + pauseMs;
}

/** How long a wait may last, and how often it looks. */
interface Patience {
  /** At least this long between two looks (milliseconds); 0: as `growingPauseMs` has it. */
  readonly pauseMs?: number;
  /** Waited for longer, `late` is thrown; without it the probe itself has to come to an end. */
  readonly maxMs?: number;
  readonly late?: () => FlowFailure;
}

/**
 * Probes until something is found, with a durable pause behind each probe that finds nothing yet. The probe is told how
 * long the wait has been, in milliseconds.
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
  /** Does the work of a task, and hands its result on. A task that its own work has ended stays as it was ended. */
  readonly work: <Result>(name: string, work: Flow<Result>) => Flow<Result>;
  /** Leaves one out. */
  readonly skip: (name: string) => void;
}

/** Tells the job where each task begins and ends: what has ended is told with what begins, and once at the end. */
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
