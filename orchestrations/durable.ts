import type { FunctionInput, InvocationContext } from "@azure/functions";
import * as df from "durable-functions";
import type { FlowContext } from "../replication/operations/context.ts";
import { FLOW_VERSIONS, type FlowRun, orchestratorOf } from "../replication/operations/flow-run.ts";
import type { FlowHost } from "../replication/operations/request.ts";
import { runActivity } from "./activities/run-activity.ts";
import { ACTIVITIES, type ActivityName } from "./activities/table.ts";
import type { ActivityAnswer, ActivityRequest } from "./activity-answer.ts";
import { runFlow } from "./run-flow.ts";

/** The only module that uses Durable Functions. */

/** For functions that start flows. */
export const flowClient: FunctionInput = df.input.durableClient();

/** Registers the orchestrator of each version and every activity. */
export function registerFlows(source: () => FlowContext): void {
  for (const version of FLOW_VERSIONS) df.app.orchestration(orchestratorOf(version), orchestrateFlow);
  for (const name of Object.keys(ACTIVITIES) as ActivityName[]) {
    df.app.activity(name, {
      handler: (request: ActivityRequest, context) => loggedActivity(source(), name, request, context),
    });
  }
}

/** Runs a flow of any version: the run names its version. */
function* orchestrateFlow(context: df.OrchestrationContext): Generator<df.Task, unknown, unknown> {
  const flow = runFlow(context.df.getInput<FlowRun>());
  let next = flow.next();
  while (next.done !== true) {
    const step = next.value;
    let result: unknown;
    try {
      if (step.kind === "wait")
        yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + step.delayMs));
      else result = yield context.df.callActivity(step.name, step.request);
    } catch (error) {
      next = flow.throw(error);
      continue;
    }
    next = flow.next(result);
  }
  return next.value;
}

async function loggedActivity(
  source: FlowContext,
  name: ActivityName,
  request: ActivityRequest,
  context: InvocationContext,
): Promise<ActivityAnswer<unknown>> {
  const { itemId, jobId, flow } = request.run;
  const answer = await runActivity(source, name, request);
  if (answer.kind === "failed") {
    const { code, message } = answer.error;
    context.warn(JSON.stringify({ event: "activity-failed", activity: name, itemId, jobId, flow, code, message }));
  }
  return answer;
}

/** Durable Functions for an invocation with `flowClient` among its inputs. */
export function flowHost(context: InvocationContext): FlowHost {
  return {
    start: (run) => startFlow(df.getClient(context), run),
    stateOf: (jobId) => flowState(df.getClient(context), jobId),
  };
}

/**
 * Starts the flow under its job's id; a flow that was started already is left alone, so that starting is idempotent.
 */
async function startFlow(client: df.DurableClient, run: FlowRun): Promise<void> {
  if ((await flowState(client, run.jobId)) !== undefined) return;
  try {
    await client.startNew(orchestratorOf(run.version), { instanceId: run.jobId, input: run });
  } catch (error) {
    // Of two simultaneous starts the host refuses one.
    if ((await flowState(client, run.jobId)) === undefined) throw error;
  }
}

async function flowState(client: df.DurableClient, jobId: string): Promise<"open" | "ended" | undefined> {
  const status = await client.getStatus(jobId).catch((error: unknown) => {
    if (error instanceof Error && /404|not found/i.test(error.message)) return undefined;
    throw error;
  });
  if (status?.runtimeStatus === undefined) return undefined;
  return ["Completed", "Failed", "Terminated", "Canceled"].includes(status.runtimeStatus) ? "ended" : "open";
}
