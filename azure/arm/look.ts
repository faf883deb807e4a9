import { LeewardError } from "../../replication/errors.ts";
import type { Clock } from "../../replication/ports.ts";
import type { Looked, ResourceJson } from "../../replication/resources/resource-manager.ts";
import { isObject, textOf } from "../../replication/resources/json.ts";
import { knownType } from "./api-versions.ts";
import { errorOf, failed, faultOf } from "./failures.ts";
import { ENDS, formatOperation, type Operation } from "./operation-text.ts";
import { type Answer, type Send, isThrottled, retryAfterMs } from "./transport.ts";

export interface LookParts {
  readonly send: Send;
  readonly read: (id: string) => Promise<ResourceJson | undefined>;
  readonly clock: Clock;
}

/**
 * One look at an operation (Azure: "Track asynchronous Azure operations"). Its state is asked for by
 * `Azure-AsyncOperation`, else by `Location`, else it is the state of the resource. What Azure tells is believed only
 * when the resource shows it.
 */
export async function lookAt(operation: Operation, parts: LookParts): Promise<Looked> {
  const { statusUrl, resultUrl } = operation;
  const url = statusUrl ?? resultUrl;
  if (url === undefined) return endOf(operation, undefined, parts);
  const answer = await parts.send("GET", withVersion(url, operation.id));
  if (isThrottled(answer)) return running(operation, answer, parts);
  const isForgotten = answer.status === 404 || answer.status === 410;
  if (isForgotten) return afterForgotten(operation, parts);
  return statusUrl === undefined ? byResult(operation, answer, parts) : byStatus(operation, answer, parts);
}

/** Only whole words count: a state that is not known means that it runs. */
async function byStatus(operation: Operation, answer: Answer, parts: LookParts): Promise<Looked> {
  const fault = faultOf(answer.body, answer.status < 300 ? undefined : answer.status);
  if (answer.status >= 300) return refusedLook(operation, fault);
  const status = textOf(answer.body, "status")?.toLowerCase();
  if (status === "failed" || status === "canceled" || status === "cancelled") return failed(fault);
  if (status !== undefined && status !== "succeeded") return running(operation, answer, parts);
  if (ENDS[operation.change] !== "answer") return endOf(operation, undefined, parts);
  if (operation.resultUrl === undefined)
    throw new LeewardError("azure-answer-invalid", "An operation ended without its answer.", { path: operation.id });
  return byResult(operation, await parts.send("GET", withVersion(operation.resultUrl, operation.id)), parts);
}

async function byResult(operation: Operation, answer: Answer, parts: LookParts): Promise<Looked> {
  if (isThrottled(answer)) return running(operation, answer, parts);
  if (answer.status === 202)
    return running({ ...operation, resultUrl: answer.header("location") ?? operation.resultUrl }, answer, parts);
  if (answer.status >= 300) return refusedLook(operation, faultOf(answer.body, answer.status));
  return endOf(operation, answer, parts);
}

/** A failure of the operation, or of the look: what may pass is thrown, so that the look is repeated. */
function refusedLook({ id }: Operation, fault: ReturnType<typeof faultOf>): Looked {
  const failure = failed(fault);
  if (failure.code === "azure-unavailable") throw errorOf(fault, { path: id });
  return failure;
}

/**
 * Azure keeps operations for hours only. Then the resource tells how it ended, except for a patch or an action, which
 * is begun again.
 */
function afterForgotten(operation: Operation, parts: LookParts): Promise<Looked> | Looked {
  if (operation.change === "put" || operation.change === "remove")
    return endOf({ ...operation, statusUrl: undefined, resultUrl: undefined }, undefined, parts);
  const message = `Azure no longer knows the operation ${operation.change}; it is begun again.`;
  return { kind: "failed", code: "azure-unavailable", azureCode: "OperationNotFound", message, retryable: true };
}

/**
 * Says that a change is done when the resource shows it, and looks at the resource from then on when it does not yet.
 */
export async function endOf(operation: Operation, answer: Answer | undefined, parts: LookParts): Promise<Looked> {
  const { change, id } = operation;
  const end = ENDS[change];
  if (end === "answer") {
    if (answer !== undefined && isObject(answer.body)) return { kind: "done", result: answer.body };
    throw new LeewardError("azure-answer-invalid", `The action ${change} ended without its answer.`, { path: id });
  }
  const resource = await parts.read(id);
  const state = stateOf(resource);
  if (end === "gone" ? resource === undefined : resource !== undefined && state === "succeeded")
    return { kind: "done", result: resource };
  // A machine keeps the state Failed until something succeeds on it.
  if (resource !== undefined && (state === "failed" || state === "canceled")) {
    return failed({
      status: undefined,
      azureCode: "ProvisioningFailed",
      message: `${id} is in state ${state}; Azure gave no reason.`,
    });
  }
  const text = formatOperation({ change, id, statusUrl: undefined, resultUrl: undefined });
  return { kind: "running", operation: text, retryAfterMs: 0 };

  function stateOf(seen: ResourceJson | undefined): string | undefined {
    return (
      textOf(seen, "properties", "provisioningState")?.toLowerCase() ??
      (knownType(id).hasState ? undefined : "succeeded")
    );
  }
}

/** Whether an operation runs on the resource. */
export async function isBeingChanged(id: string, parts: LookParts): Promise<boolean> {
  const state = textOf(await parts.read(id), "properties", "provisioningState")?.toLowerCase();
  return state !== undefined && !["succeeded", "failed", "canceled"].includes(state);
}

function running(operation: Operation, answer: Answer, { clock }: LookParts): Looked {
  const waitMs = retryAfterMs(answer, isThrottled(answer) ? "busy" : "poll", clock.now());
  return { kind: "running", operation: formatOperation(operation), retryAfterMs: waitMs };
}

/** Some services leave the version out of the addresses that they give. The rest stays as it is: it is signed. */
function withVersion(url: string, id: string): string {
  if (URL.parse(url)?.searchParams.has("api-version") !== false) return url;
  return `${url}${url.includes("?") ? "&" : "?"}api-version=${knownType(id).apiVersion}`;
}
