import { randomUUID } from "node:crypto";
import type { Reachability } from "../../reachability.ts";
import type { Answer, ArmRequest } from "./answer.ts";
import { ArmError, errorBody, notSupported } from "./arm-error.ts";
import type { RequestFacts } from "./faults.ts";
import { keyOf, regionName } from "./ids.ts";
import { pageOf } from "./listing.ts";
import { existing, existingGroup, parentNotFound } from "./lookup.ts";
import { checkSignature, resultAnswer, statusAnswer } from "./operation-answers.ts";
import type { EngineParts } from "./parts.ts";
import { etagOf, present } from "./present.ts";
import { requestKind } from "./request-buckets.ts";
import type { Scope } from "./resource-rows.ts";
import type { ResourceRecord, ResourceType } from "./resource-type.ts";
import { readTarget, type Place, type Target, type Within } from "./target.ts";
import { act, change, remove } from "./write.ts";

/** Answers one request. All its changes are kept when it returns; longer work continues in the background. */
export function handle(request: ArmRequest, parts: EngineParts): Answer {
  const { store, operations } = parts;
  try {
    store.transaction(() => operations.settleDue());
    const answer = store.transaction(() => answerTarget(request, parts));
    return withCommonHeaders(answer, request, parts);
  } catch (error) {
    if (!(error instanceof ArmError)) throw error;
    const headers = error.retryAfterSeconds === undefined ? {} : { "Retry-After": String(error.retryAfterSeconds) };
    return withCommonHeaders({ status: error.status, headers, body: { error: errorBody(error) } }, request, parts);
  } finally {
    operations.startWork();
  }
}

/** A bad request of the client, before there is a target. */
function checkRequest(request: ArmRequest, parts: EngineParts): void {
  const subscription = /^\/subscriptions\/([^/]+)/i.exec(request.path)?.[1];
  if (subscription !== undefined && keyOf(subscription) !== keyOf(parts.subscriptionId)) {
    throw new ArmError(404, "SubscriptionNotFound", `The subscription '${subscription}' could not be found.`);
  }
  if (request.query.get("api-version") === null) {
    throw new ArmError(
      400,
      "MissingApiVersionParameter",
      "The api-version query parameter (?api-version=) is required for all requests.",
    );
  }
}

function answerTarget(request: ArmRequest, parts: EngineParts): Answer {
  checkRequest(request, parts);
  parts.faults.requests.take(request.method, parts.world().nowMs);
  const target = readTarget(request.path, parts.types);
  const facts = requestFacts(request, target);
  parts.faults.refuse(facts);
  const reachable = reachabilityOf(request, target, parts);
  if (reachable !== true) return { status: 503, headers: {}, [reachable === "hangs" ? "isHung" : "isCut"]: true };
  const answer = dispatch(request, target, facts, parts);
  return parts.faults.losesAnswer(facts) ? { ...answer, isCut: true } : answer;
}

function dispatch(request: ArmRequest, target: Target, facts: RequestFacts, parts: EngineParts): Answer {
  switch (target.kind) {
    case "operation":
      return answerOperation(request, target, parts);
    case "collection":
      checkApiVersion(request, target.type);
      return list(request, target.type, target.within, parts);
    case "group-resources":
      return page(
        request,
        { kind: "group", groupKey: keyOf(`/subscriptions/${parts.subscriptionId}/resourceGroups/${target.groupName}`) },
        parts,
      );
    case "resource":
      checkApiVersion(request, target.at.type);
      return answerResource(request, target.at, facts, parts);
    case "verb":
      checkApiVersion(request, target.at.type);
      return answerVerb(request, target, facts, parts);
    case "other":
      return parts.others(request, parts.world());
  }
}

function answerResource(request: ArmRequest, at: Place, facts: RequestFacts, parts: EngineParts): Answer {
  const world = parts.world();
  switch (request.method) {
    case "GET": {
      const record = existing(at, world);
      return { status: 200, headers: { ETag: etagOf(record) }, body: present(record, at.type, world, request.query) };
    }
    case "HEAD":
      return { status: world.seen(at.id) === undefined ? 404 : 204, headers: {} };
    case "PUT":
    case "PATCH":
      return change(request, at, facts, parts);
    case "DELETE":
      return remove(request, at, facts, parts);
    default:
      throw new ArmError(405, "MethodNotAllowed", `The method ${request.method} is not allowed here.`);
  }
}

function answerVerb(
  request: ArmRequest,
  target: Extract<Target, { readonly kind: "verb" }>,
  facts: RequestFacts,
  parts: EngineParts,
): Answer {
  const world = parts.world();
  const { type } = target.at;
  const same = (name: string): boolean => name.toLowerCase() === target.verb.toLowerCase();
  const view =
    request.method === "GET" ? Object.entries(type.views ?? {}).find(([name]) => same(name))?.[1] : undefined;
  if (view !== undefined) return { status: 200, headers: {}, body: view.show(existing(target.at, world), world) };
  const action = request.method === "POST" ? Object.keys(type.actions).find(same) : undefined;
  if (action === undefined) throw notSupported(`${request.method} ${target.verb} of ${type.name}`);
  return act(request, existing(target.at, world), action, facts, parts);
}

function answerOperation(
  request: ArmRequest,
  target: Extract<Target, { readonly kind: "operation" }>,
  parts: EngineParts,
): Answer {
  const operation = parts.store.operation(target.operationId);
  if (operation === undefined)
    throw new ArmError(404, "OperationNotFound", `The operation ${target.operationId} is not known.`);
  checkSignature(operation, request.query, parts.addresses.secret);
  if (target.view === "status") return statusAnswer(operation, parts.addresses);
  const world = parts.world();
  return resultAnswer(operation, request.query, parts.addresses, () => {
    const record = world.find(operation.resourceId);
    return record === undefined ? undefined : present(record, world.typeOf(record.type), world);
  });
}

function list(request: ArmRequest, { name: type }: ResourceType, within: Within, parts: EngineParts): Answer {
  const world = parts.world();
  if (within.kind === "subscription") return page(request, { kind: "type", type }, parts);
  if (within.kind === "parent") {
    const parent = world.find(within.parentId);
    if (parent === undefined) throw parentNotFound(within.parentId);
    return page(request, { kind: "type-below", type, parentKey: parent.key }, parts);
  }
  const group = existingGroup(within.groupName, parts, world);
  return page(request, { kind: "type-in-group", type, groupKey: group.key }, parts);
}

function page(request: ArmRequest, scope: Scope, parts: EngineParts): Answer {
  const world = parts.world();
  const stored = (afterKey: string, limit: number): readonly ResourceRecord[] =>
    parts.store.page(scope, afterKey, limit);
  const read = (afterKey: string, limit: number): readonly ResourceRecord[] =>
    parts.past.page(scope, afterKey, limit, world.nowMs, stored);
  return pageOf(read, request, { url: parts.addresses.url, pageCount: parts.pageCount }, (record) =>
    present(record, world.typeOf(record.type), world, request.query),
  );
}

function checkApiVersion(request: ArmRequest, type: ResourceType): void {
  const version = request.query.get("api-version") ?? "";
  if (version === type.apiVersion) return;
  throw new ArmError(
    400,
    "NoRegisteredProviderFound",
    `No registered resource provider found for API version '${version}' for type '${type.name}'. The supported api-versions are '${type.apiVersion}'.`,
  );
}

function requestFacts(request: ArmRequest, target: Target): RequestFacts {
  const action = target.kind === "verb" ? target.verb : undefined;
  if (target.kind === "resource" || target.kind === "verb") {
    return { method: request.method, type: target.at.type.name, name: target.at.name, action };
  }
  const type = target.kind === "collection" ? target.type.name : "";
  return { method: request.method, type, name: "", action };
}

/** An unreachable region answers nothing: neither for its resources and operations, nor for new ones there. */
function reachabilityOf(request: ArmRequest, target: Target, parts: EngineParts): Reachability {
  const regionOf = (): string | undefined => {
    if (target.kind === "operation") return parts.store.operation(target.operationId)?.region;
    if (target.kind === "resource" || target.kind === "verb") {
      const { location } = (request.body ?? {}) as { readonly location?: unknown };
      const wanted = typeof location === "string" ? regionName(location) : undefined;
      return parts.world().find(target.at.id)?.location ?? wanted;
    }
    return /\/locations\/([^/]+)\//i.exec(request.path)?.[1];
  };
  const region = regionOf();
  return region === undefined || parts.reachability(regionName(region));
}

function withCommonHeaders(answer: Answer, request: ArmRequest, parts: EngineParts): Answer {
  const id = randomUUID();
  const clientId = request.headers["x-ms-client-request-id"];
  const headers = {
    "cache-control": "no-cache",
    "x-ms-request-id": id,
    "x-ms-correlation-request-id": request.headers["x-ms-correlation-request-id"] ?? id,
    ...(clientId === undefined ? {} : { "x-ms-client-request-id": clientId }),
    ...remainingRequests(request.method, parts),
    ...answer.headers,
  };
  return { ...answer, headers };
}

/** Azure counts reads, writes and deletes apart, and over all of a tenant 15 times as many. */
function remainingRequests(method: string, { faults, world }: EngineParts): Readonly<Record<string, string>> {
  const kind = requestKind(method);
  const left = faults.requests.left(method, world().nowMs);
  return {
    [`x-ms-ratelimit-remaining-subscription-${kind}`]: String(left),
    [`x-ms-ratelimit-remaining-subscription-global-${kind}`]: String(left * 15 + 14),
  };
}
