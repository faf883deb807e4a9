import { type LeewardError, asLeewardError } from "../../replication/errors.ts";
import { findManaged } from "../../replication/jobs/managed-item.ts";
import type { FlowContext } from "../../replication/operations/context.ts";
import { isRoleNotHeardYet } from "../../replication/resources/azure-lag.ts";
import type { ActivityAnswer, ActivityRequest, FlowError } from "../activity-answer.ts";
import { type ActivityName, ACTIVITIES } from "./table.ts";

/** Activities that run even when another job has taken over. */
const ALWAYS: ReadonlySet<ActivityName> = new Set(["closeJob"]);

/** As an answer. A role assignment that is not effective yet is transient, and throttling names its delay. */
function flowErrorOf(error: LeewardError): FlowError {
  const { code, message, hint, retryable, facts } = error;
  const { retryAfterMs } = facts;
  const asked = typeof retryAfterMs === "number" ? { retryAfterMs } : {};
  return { code, message, hint, retryable: retryable || isRoleNotHeardYet(error), ...asked };
}

/** Runs one activity for the job that holds the item; every failure is an answer. */
export async function runActivity(
  context: FlowContext,
  name: ActivityName,
  { run, input }: ActivityRequest,
): Promise<ActivityAnswer<unknown>> {
  try {
    const managed = ALWAYS.has(name) ? undefined : await findManaged(context.stores, run.itemId);
    if (!ALWAYS.has(name) && managed?.situation.job?.jobId !== run.jobId) return { kind: "superseded" };
    // The flow's side of the call is typed by the same table, and JSON keeps what it holds.
    const body = ACTIVITIES[name] as (
      context: FlowContext,
      run: ActivityRequest["run"],
      input: unknown,
    ) => Promise<unknown>;
    return { kind: "done", value: await body(managed === undefined ? context : { ...context, managed }, run, input) };
  } catch (error) {
    return { kind: "failed", error: flowErrorOf(asLeewardError(error)) };
  }
}
