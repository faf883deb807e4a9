import { LeewardError } from "../../replication/errors.ts";
import type { Clock } from "../../replication/ports.ts";
import { isObject, textOf } from "../../replication/resources/json.ts";
import type { PollResult, ResourceJson } from "../../replication/resources/resource-manager.ts";
import { knownType } from "./api-versions.ts";
import { errorOf, failed, faultOf } from "./failures.ts";
import { ENDS, formatOperation, type Operation } from "./operation-text.ts";
import { type Answer, type Send, isThrottled, retryAfterMs } from "./transport.ts";

export interface PollParts {
  readonly send: Send;
  readonly read: (id: string) => Promise<ResourceJson | undefined>;
  readonly clock: Clock;
}

/**
 * Polls an operation once (Azure: "Track asynchronous Azure operations"). Its state comes from `Azure-AsyncOperation`,
 * else from `Location`, else from the resource. Azure's report counts only when the resource confirms it.
 */
export async function pollOperation(operation: Operation, parts: PollParts): Promise<PollResult> {
  const { statusUrl, resultUrl } = operation;
  const url = statusUrl ?? resultUrl;
  if (url === undefined) return endOf(operation, undefined, parts);
  const answer = await parts.send("GET", withVersion(url, operation.id));
  if (isThrottled(answer)) return running(operation, answer, parts);
  const isForgotten = answer.status === 404 || answer.status === 410;
  if (isForgotten) return afterForgotten(operation, parts);
  return statusUrl === undefined ? byResult(operation, answer, parts) : byStatus(operation, answer, parts);
}

/** Only known final states count: an unknown state means that it is running. */
async function byStatus(operation: Operation, answer: Answer, parts: PollParts): Promise<PollResult> {
  const fault = faultOf(answer.body, answer.status < 300 ? undefined : answer.status);
  if (answer.status >= 300) return refusedPoll(operation, fault);
  const status = textOf(answer.body, "status")?.toLowerCase();
  if (status === "failed" || status === "canceled" || status === "cancelled") return failed(fault);
  if (status !== undefined && status !== "succeeded") return running(operation, answer, parts);
  if (ENDS[operation.change] !== "answer") return endOf(operation, undefined, parts);
  if (operation.resultUrl === undefined)
    throw new LeewardError("azure-answer-invalid", "An operation ended without its answer.", { path: operation.id });
  return byResult(operation, await parts.send("GET", withVersion(operation.resultUrl, operation.id)), parts);
}

async function byResult(operation: Operation, answer: Answer, parts: PollParts): Promise<PollResult> {
  if (isThrottled(answer)) return running(operation, answer, parts);
  if (answer.status === 202)
    return running({ ...operation, resultUrl: answer.header("location") ?? operation.resultUrl }, answer, parts);
  if (answer.status >= 300) return refusedPoll(operation, faultOf(answer.body, answer.status));
  return endOf(operation, answer, parts);
}

/** A failure of the operation, or of the poll: temporary ones are thrown, so that the poll is repeated. */
function refusedPoll({ id }: Operation, fault: ReturnType<typeof faultOf>): PollResult {
  const failure = failed(fault);
  if (failure.code === "azure-unavailable") throw errorOf(fault, { path: id });
  return failure;
}

/**
 * Azure keeps operations for hours only. After that the resource shows how it ended, except for a patch or an action,
 * which is begun again.
 */
function afterForgotten(operation: Operation, parts: PollParts): Promise<PollResult> | PollResult {
  if (operation.change === "put" || operation.change === "remove")
    return endOf({ ...operation, statusUrl: undefined, resultUrl: undefined }, undefined, parts);
  const message = `Azure no longer knows the operation ${operation.change}; it is begun again.`;
  return { kind: "failed", code: "azure-unavailable", azureCode: "OperationNotFound", message, retryable: true };
}

/** Reports a change as done when the resource shows it; otherwise the resource is polled from then on. */
export async function endOf(operation: Operation, answer: Answer | undefined, parts: PollParts): Promise<PollResult> {
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

/** Whether an operation is running on the resource. */
export async function isBeingChanged(id: string, parts: PollParts): Promise<boolean> {
  const state = textOf(await parts.read(id), "properties", "provisioningState")?.toLowerCase();
  return state !== undefined && !["succeeded", "failed", "canceled"].includes(state);
}

function running(operation: Operation, answer: Answer, { clock }: PollParts): PollResult {
  const waitMs = retryAfterMs(answer, isThrottled(answer) ? "busy" : "poll", clock.now());
  return { kind: "running", operation: formatOperation(operation), retryAfterMs: waitMs };
}

/** Some services omit the version from the addresses that they return. The rest stays as it is: it is signed. */
function withVersion(url: string, id: string): string {
  if (URL.parse(url)?.searchParams.has("api-version") !== false) return url;
  return `${url}${url.includes("?") ? "&" : "?"}api-version=${knownType(id).apiVersion}`;
}
