import { runActivity } from "../../orchestrations/activities/run-activity.ts";
import type { ActivityName } from "../../orchestrations/activities/table.ts";
import type { ActivityAnswer } from "../../orchestrations/activity-answer.ts";
import { runFlow } from "../../orchestrations/run-flow.ts";
import type { Step } from "../../orchestrations/steps.ts";
import { LeewardError } from "../../replication/errors.ts";
import type { FlowContext } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";

/** What has been done of one run, as Durable Functions keeps it: the results, in the order of the steps. */
export interface History {
  readonly steps: string[];
  readonly results: unknown[];
}

/**
 * What strikes an activity: `before` nothing is done; `after` it is done, and its answer is lost, so that it runs
 * again.
 */
type Strike = (name: ActivityName, call: number, step: Step) => "before" | "after" | undefined;

export interface DriveOptions {
  readonly history?: History;
  readonly strike?: Strike;
  /** Time goes on by this much: a durable timer. */
  readonly onWait: (delayMs: number) => Promise<void>;
  /** The host dies when this many steps are in the history. */
  readonly dieAfter?: number;
}

const FAILURE = new LeewardError("store-unavailable", "Struck on purpose.");

/**
 * Drives a flow as a host does, results through JSON; `undefined` when the host died. A history that is given is
 * replayed first, and must fit.
 */
export async function drive(
  context: FlowContext,
  run: FlowRun,
  options: DriveOptions,
): Promise<{ readonly state: string } | undefined> {
  const { history = { steps: [], results: [] }, dieAfter = Number.POSITIVE_INFINITY, onWait } = options;
  const calls = new Map<ActivityName, number>();
  const flow = runFlow(run);
  let next = flow.next();
  for (let at = 0; next.done !== true; at += 1) {
    const step = JSON.stringify(next.value);
    if (at < history.results.length) {
      if (history.steps[at] !== step)
        throw new Error(`The replay differs at step ${at}: ${step} was ${history.steps[at]}`);
    } else {
      if (at >= dieAfter) return undefined;
      if (at > 5_000) throw new Error("The flow does not end.");
      let result: unknown;
      if (next.value.kind === "wait") await onWait(next.value.delayMs);
      else {
        const { name, request } = next.value;
        const call = (calls.get(name) ?? 0) + 1;
        calls.set(name, call);
        result = await perform(
          context,
          name,
          JSON.parse(JSON.stringify(request)),
          options.strike?.(name, call, next.value),
        );
      }
      history.steps.push(step);
      history.results.push(result === undefined ? undefined : JSON.parse(JSON.stringify(result)));
    }
    next = flow.next(history.results[at]);
  }
  return next.value;
}

async function perform(
  context: FlowContext,
  name: ActivityName,
  request: Parameters<typeof runActivity>[2],
  strike: "before" | "after" | undefined,
): Promise<ActivityAnswer<unknown>> {
  const { code, message, hint, retryable } = FAILURE;
  const failed = { kind: "failed", error: { code, message, hint, retryable } } as const;
  if (strike === "before") return failed;
  const answer = await runActivity(context, name, request);
  return strike === "after" ? failed : answer;
}
