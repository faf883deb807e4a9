import type {
  HttpFunctionOptions,
  HttpRequest,
  HttpResponseInit,
  InvocationContext,
  StorageQueueFunctionOptions,
  Timer,
} from "@azure/functions";
import { LARGE_BATCHES_AT_ONCE } from "../../functions/limits.ts";
import { applyHints } from "../../functions/queues/apply-hints.ts";
import { restoreSlices } from "../../functions/queues/restore-slices.ts";
import { failoverCommit, unplannedFailover } from "../../functions/routes/failovers.ts";
import { heartbeatMobility, registerMobility, settleMobility } from "../../functions/routes/mobility.ts";
import {
  disableProtection,
  newRegistrationToken,
  protectItem,
  repairReplication,
  showItem,
} from "../../functions/routes/protected-items.ts";
import { listRecoveryPoints } from "../../functions/routes/recovery-points.ts";
import { restoreRecoveryPoint } from "../../functions/routes/restores.ts";
import { openServiceGates } from "../../functions/serving/request-gate.ts";
import { openWakeUps } from "../../functions/serving/wake-ups.ts";
import { sweep } from "../../functions/timers/sweep.ts";
import { takePoints } from "../../functions/timers/take-points.ts";
import type { Application, ApplicationSource } from "../../functions/wiring.ts";
import { createLargeBatches } from "../../replication/apply/large-batches.ts";
import { createPointCache } from "../../replication/points/point-cache.ts";
import type { SimulatedProcess } from "./process.ts";
import type { QueueName, Queues } from "./queues.ts";
import type { Timeline } from "./timeline.ts";

/** The triggers of the product that a history needs, as the host would run them. */
const ROUTES = {
  protectItem,
  disableProtection,
  unplannedFailover,
  failoverCommit,
  repairReplication,
  restoreRecoveryPoint,
  listRecoveryPoints,
  newRegistrationToken,
  showItem,
  registerMobility,
  heartbeatMobility,
  settleMobility,
} as const satisfies Readonly<Record<string, (application: ApplicationSource) => HttpFunctionOptions>>;

export type RouteName = keyof typeof ROUTES;

export interface AppRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface AppAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Through JSON, as a caller gets it. */
  readonly body: unknown;
}

/** One process of the function app with everything that runs in it. */
export interface AppProcess {
  readonly process: SimulatedProcess;
  readonly application: Application;
  /** Answers when the handler does; never when the process dies before. */
  request(route: RouteName, request: AppRequest): Promise<AppAnswer>;
  runTimer(timer: TimerName): void;
}

type TimerName = keyof typeof TIMERS;
const TIMERS = { sweep, takePoints } as const;

/** host.json: `batchSize` + `newBatchThreshold`, `visibilityTimeout`, `maxPollingInterval`. */
const MESSAGES_AT_ONCE = 6;
const GIVE_BACK_MS = 10_000;
const POLL_MS = 2_000;

export interface AppProcessOptions {
  readonly timeline: Timeline;
  readonly queues: Queues;
  readonly process: SimulatedProcess;
  /** The application without what this process adds. */
  readonly application: Omit<
    Application,
    "clock" | "timer" | "gates" | "points" | "largeBatches" | "wakeUps" | "processId" | "cursors" | "tidied"
  >;
  /** A handler failed; what the host would log. */
  readonly failed: (what: string, error: unknown) => void;
}

export function startAppProcess(options: AppProcessOptions): AppProcess {
  const { process } = options;
  const application: Application = {
    ...options.application,
    clock: process.clock,
    gates: openServiceGates(process.clock),
    points: createPointCache(process.clock),
    largeBatches: createLargeBatches(LARGE_BATCHES_AT_ONCE),
    timer: { pause: (durationMs) => process.pause(durationMs) },
    wakeUps: openWakeUps(process.clock, (delayMs, run) => process.hear(delayMs, run)),
    processId: process.name,
    cursors: new Map(),
    tidied: new Map(),
  };
  const source = (): Application => application;
  let invocations = 0;
  const invocation = (functionName: string): InvocationContext => {
    invocations += 1;
    return fakeInvocation(functionName, `${process.name}-${invocations}`);
  };
  listen(options, "hints", applyHints(source), () => invocation("applyHints"));
  listen(options, "restores", restoreSlices(source), () => invocation("restoreSlices"));
  const running = new Set<TimerName>();
  return {
    process,
    application,
    request: async (route, request) =>
      answerOf(await ROUTES[route](source).handler(fakeRequest(request), invocation(route))),
    runTimer: (timer) => {
      // A timer never runs twice at once in one process.
      if (running.has(timer) || !process.isAlive) return;
      running.add(timer);
      const work = async (): Promise<void> => {
        await TIMERS[timer](source).handler(noTimer, invocation(timer));
      };
      work()
        .catch((error: unknown) => options.failed(timer, error))
        .finally(() => running.delete(timer));
    },
  };
}

/** Takes messages of a queue for as long as the process lives. */
function listen(
  options: AppProcessOptions,
  queue: QueueName,
  { handler }: StorageQueueFunctionOptions,
  invocation: () => InvocationContext,
): void {
  const { process, queues, timeline } = options;
  const startMs = timeline.now();
  let busy = 0;
  const poll = (): void => {
    for (; busy < MESSAGES_AT_ONCE; busy += 1) {
      const message = queues.receive(queue);
      if (message === undefined) break;
      const work = async (): Promise<void> => {
        await handler(message.body, invocation());
      };
      const end = (over: () => void): void => {
        process.hear(1, () => {
          busy -= 1;
          over();
        });
      };
      work().then(
        () => end(() => message.remove()),
        (error: unknown) => {
          options.failed(queue, error);
          end(() => message.giveBack(GIVE_BACK_MS));
        },
      );
    }
    // The host polls empty queues too; here polls that would find nothing are left out, to save events.
    queues.whenFilled(queue, () => process.hear(POLL_MS - ((timeline.now() - startMs) % POLL_MS), poll));
  };
  process.hear(0, poll);
}

const noTimer: Timer = {
  isPastDue: false,
  schedule: { adjustForDST: false },
  scheduleStatus: { last: "", next: "", lastUpdated: "" },
};

/** Logs nothing: the trace has what a history did. */
function fakeInvocation(functionName: string, invocationId: string): InvocationContext {
  const quiet = (): void => undefined;
  return {
    functionName,
    invocationId,
    log: quiet,
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: quiet,
    trace: quiet,
  } as unknown as InvocationContext;
}

/** Only the parts of a request that the product's routes read. */
function fakeRequest({ params, headers = {}, body }: AppRequest): HttpRequest {
  const text = body === undefined ? "" : JSON.stringify(body);
  const pieces = text === "" ? [] : [Buffer.from(text)];
  const asked = {
    params,
    query: new URLSearchParams(),
    headers: new Map(Object.entries(headers)),
    body: (async function* chunks() {
      yield* pieces;
    })(),
  };
  return asked as unknown as HttpRequest;
}

function answerOf(answer: unknown): AppAnswer {
  const { status = 200, headers = {}, jsonBody } = answer as HttpResponseInit;
  return {
    status,
    headers: { ...(headers as Record<string, string>) },
    body: jsonBody === undefined ? undefined : JSON.parse(JSON.stringify(jsonBody)),
  };
}
