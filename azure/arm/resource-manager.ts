import { LeewardError } from "../../replication/errors.ts";
import { AZURE_BUSY_MS, AZURE_LIST_MAX_PAGES, AZURE_NIC_RESERVED_MS } from "../../replication/limits.ts";
import type { Clock } from "../../replication/ports.ts";
import { isObject, listOf, textOf } from "../../replication/resources/json.ts";
import type { Begun, Change, ResourceJson, ResourceManager } from "../../replication/resources/resource-manager.ts";
import { knownType } from "./api-versions.ts";
import { errorOf, failed, faultOf, isHeld, isMissing, isNicReserved } from "./failures.ts";
import { ENDS, formatOperation, type Operation, parseOperation } from "./operation-text.ts";
import { endOf, isBeingChanged, pollOperation, type PollParts } from "./poll.ts";
import {
  type Answer,
  type ResourceManagerAddress,
  type Send,
  isThrottled,
  openTransport,
  retryAfterMs,
} from "./transport.ts";

/** One adapter for all types of resources: every request is one of four verbs on a path (Azure REST API reference). */
export function openResourceManager(address: ResourceManagerAddress, clock: Clock): ResourceManager {
  const endpoint = address.endpoint.replace(/\/+$/, "");
  const send = openTransport(address);
  const urlOf = (path: string, query: Readonly<Record<string, string>> = {}): string =>
    `${endpoint}${path}?${new URLSearchParams({ "api-version": knownType(path).apiVersion, ...query }).toString()}`;
  const read = async (id: string): Promise<ResourceJson | undefined> => readOnce(send, urlOf(id), id, clock);
  const parts: PollParts = { send, read, clock };
  return {
    read,
    list: async (collection, filter) =>
      listAll(send, urlOf(collection, filter === undefined ? {} : { $filter: filter }), collection, clock),
    begin: (change) => begin(change, urlOf, parts),
    poll: async (operation) => pollOperation(parseOperation(operation), parts),
  };
}

async function readOnce(send: Send, url: string, path: string, clock: Clock): Promise<ResourceJson | undefined> {
  const answer = await send("GET", url);
  if (answer.status === 200 && isObject(answer.body)) return answer.body;
  const fault = faultOf(answer.body, answer.status);
  if (isMissing(fault)) return undefined;
  throw answer.status < 300
    ? invalid("A read was answered without a resource.", path, answer)
    : refusedRead(answer, path, clock);
}

/** A read has no other way to report Azure's retry delay. */
function refusedRead(answer: Answer, path: string, clock: Clock): LeewardError {
  const asked = isThrottled(answer) ? { retryAfterMs: retryAfterMs(answer, "busy", clock.now()) } : {};
  return errorOf(faultOf(answer.body, answer.status), { path, ...asked });
}

async function listAll(send: Send, firstUrl: string, path: string, clock: Clock): Promise<readonly ResourceJson[]> {
  const found: ResourceJson[] = [];
  let url: string | undefined = firstUrl;
  for (let page = 0; url !== undefined; page += 1) {
    const answer: Answer = await send("GET", url);
    const fault = faultOf(answer.body, answer.status);
    if (isMissing(fault)) return [];
    if (answer.status !== 200) throw refusedRead(answer, path, clock);
    if (!isObject(answer.body) || !Array.isArray(answer.body["value"]))
      throw invalid("A page has no list.", path, answer);
    if (page >= AZURE_LIST_MAX_PAGES)
      throw invalid(`A listing has more than ${AZURE_LIST_MAX_PAGES} pages.`, path, answer);
    found.push(...listOf(answer.body, "value").filter(isObject));
    url = textOf(answer.body, "nextLink");
  }
  return found;
}

async function begin(change: Change, urlOf: (path: string) => string, parts: PollParts): Promise<Begun> {
  const { send, clock } = parts;
  const operation: Operation = {
    change: change.kind === "act" ? change.action : change.kind,
    id: change.id,
    statusUrl: undefined,
    resultUrl: undefined,
  };
  const answer = await request(change, urlOf, send);
  if (answer.status >= 200 && answer.status < 300) return accepted(operation, answer, parts);
  const fault = faultOf(answer.body, answer.status);
  const busy = (waitMs: number): Begun => ({
    kind: "busy",
    retryAfterMs: waitMs,
    azureCode: fault.azureCode,
    message: fault.message,
  });
  if (isThrottled(answer)) return busy(retryAfterMs(answer, "busy", clock.now()));
  if (isNicReserved(fault.azureCode)) return busy(AZURE_NIC_RESERVED_MS);
  // It exists after all: the caller checks it first.
  if (answer.status === 412 && change.kind === "put" && change.createOnly === true) return busy(AZURE_BUSY_MS);
  if (isHeld(fault)) return busy(retryAfterMs(answer, "busy", clock.now()));
  // Removing a missing resource succeeds.
  if (change.kind === "remove" && isMissing(fault)) return { kind: "done", result: undefined };
  // Azure has many codes for "not while it is being changed": the resource itself shows whether that is so.
  if (answer.status === 409 && (await isBeingChanged(change.id, parts)))
    return busy(retryAfterMs(answer, "busy", clock.now()));
  const failure = failed(fault);
  if (failure.code === "azure-unavailable") throw errorOf(fault, { path: change.id });
  return failure;
}

/** A POST appends its action to the path, which is not a type: the version is that of the resource. */
function request(change: Change, urlOf: (path: string) => string, send: Send): Promise<Answer> {
  const url = urlOf(change.id);
  switch (change.kind) {
    case "put":
      return send("PUT", url, change.body, change.createOnly === true ? { "If-None-Match": "*" } : {});
    case "patch":
      return send("PATCH", url, change.body);
    case "remove":
      return send("DELETE", url);
    case "act":
      return send("POST", url.replace("?", `/${change.action}?`), change.body);
  }
}

/**
 * Azure accepted the change. Headers say where to poll; without any, the resource itself is polled if it can show the
 * end.
 */
async function accepted(operation: Operation, answer: Answer, parts: PollParts): Promise<Begun> {
  const statusUrl = answer.header("azure-asyncoperation") ?? answer.header("operation-location");
  // A 200 may have the resource as its location.
  const resultUrl = answer.status === 200 ? undefined : answer.header("location");
  if (statusUrl !== undefined || resultUrl !== undefined) {
    const text = formatOperation({ ...operation, statusUrl, resultUrl: answer.header("location") });
    return { kind: "running", operation: text, retryAfterMs: retryAfterMs(answer, "poll", parts.clock.now()) };
  }
  const isWatched = ["put", "patch", "remove"].includes(operation.change);
  // A 202 without a place to poll is not a success.
  if (answer.status === 202 && !isWatched)
    throw invalid(`The action ${operation.change} was accepted, but nobody can ask for it.`, operation.id, answer);
  return endOf(operation, ENDS[operation.change] === "answer" ? answer : undefined, parts);
}

function invalid(message: string, path: string, { status }: Answer): LeewardError {
  return new LeewardError("azure-answer-invalid", message, { path, status });
}
