import { runActivity } from "../../orchestrations/activities/run-activity.ts";
import type { ActivityName } from "../../orchestrations/activities/table.ts";
import type { ActivityRequest } from "../../orchestrations/activity-answer.ts";
import { runFlow } from "../../orchestrations/run-flow.ts";
import type { FlowContext } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import type { FlowHost } from "../../replication/operations/request.ts";
import type { SimulatedProcess } from "./process.ts";
import type { Timeline } from "./timeline.ts";

/** A process that can run activities. */
interface ActivityWorker {
  readonly process: SimulatedProcess;
  readonly context: FlowContext;
}

export interface DurableHostOptions {
  readonly timeline: Timeline;
  /** A living process, or undefined while there is none. */
  readonly worker: () => ActivityWorker | undefined;
  readonly trace: (line: string) => void;
  /** True when the activity is given to two workers at once: the host lost sight of the first. */
  readonly isRepeated: () => boolean;
  /** Sees what an activity leaves behind, before its answer is known. */
  readonly afterActivity: (name: ActivityName, run: FlowRun) => Promise<void>;
  /** A violation: a flow that throws, or a replay that differs. */
  readonly wrong: (sentence: string) => void;
}

interface Instance {
  readonly run: FlowRun;
  readonly steps: string[];
  readonly results: unknown[];
  isOver: boolean;
}

/** The lock of a work item: an activity whose process died or stalls is given to another after this time. */
const ACTIVITY_LOCK_MS = 60_000;
const DISPATCH_MS = 20;

/**
 * Durable Functions on its storage: histories survive every process, activities run at least once, orchestrations are
 * replayed from their history.
 */
export function createDurableHost(options: DurableHostOptions): FlowHost {
  const { timeline, worker, trace, wrong } = options;
  const instances = new Map<string, Instance>();

  const record = (instance: Instance, at: number, step: string, result: unknown): void => {
    // When two workers ran the same step, the first result counts.
    if (instance.isOver || instance.results.length !== at) return;
    instance.steps.push(step);
    instance.results.push(result === undefined ? undefined : JSON.parse(JSON.stringify(result)));
    timeline.after(DISPATCH_MS, () => advance(instance));
  };
  const perform = (
    instance: Instance,
    at: number,
    step: string,
    name: ActivityName,
    request: ActivityRequest,
  ): void => {
    if (instance.isOver || instance.results.length !== at) return;
    const found = worker();
    const again = (delayMs: number): void =>
      void timeline.after(delayMs, () => perform(instance, at, step, name, request));
    if (found === undefined) return again(1_000);
    const { process, context } = found;
    trace(`${process.name} runs ${name} of ${instance.run.flow}`);
    const work = async (): Promise<void> => {
      const answer = await runActivity(context, name, request);
      await options.afterActivity(name, instance.run);
      process.hear(DISPATCH_MS, () => record(instance, at, step, answer));
    };
    work().catch((error: unknown) => wrong(`activity ${name} threw ${String(error)}`));
    again(options.isRepeated() ? DISPATCH_MS : ACTIVITY_LOCK_MS);
  };
  const advance = (instance: Instance): void => {
    const flow = runFlow(instance.run);
    let next = flow.next();
    for (const [at, result] of instance.results.entries()) {
      if (next.done === true || JSON.stringify(next.value) !== instance.steps[at]) {
        return wrong(`the replay of ${instance.run.flow} differs at step ${at}`);
      }
      next = flow.next(result);
    }
    if (next.done === true) {
      instance.isOver = true;
      trace(`${instance.run.flow} of ${instance.run.itemId} ended: ${JSON.stringify(next.value)}`);
      return;
    }
    const step = JSON.stringify(next.value);
    const at = instance.results.length;
    if (next.value.kind === "wait") timeline.after(next.value.delayMs, () => record(instance, at, step, undefined));
    else
      perform(instance, at, step, next.value.name, JSON.parse(JSON.stringify(next.value.request)) as ActivityRequest);
  };
  return {
    start: async (run) => {
      if (instances.has(run.jobId)) return;
      const instance: Instance = { run, steps: [], results: [], isOver: false };
      instances.set(run.jobId, instance);
      timeline.after(DISPATCH_MS, () => advance(instance));
    },
    stateOf: async (jobId) => {
      const found = instances.get(jobId);
      if (found === undefined) return undefined;
      return found.isOver ? "ended" : "open";
    },
  };
}
