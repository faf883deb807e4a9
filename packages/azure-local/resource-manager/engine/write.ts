import type { z } from "zod";
import type { Answer, ArmRequest } from "./answer.ts";
import { ArmError, invalidParameter, notSupported, resourceNotFound } from "./arm-error.ts";
import type { RequestFacts } from "./faults.ts";
import { keyOf, regionName } from "./ids.ts";
import { isObject, mergePatch, type JsonObject } from "./json.ts";
import { existingGroup, groupNotFound, parentNotFound } from "./lookup.ts";
import { operationHeaders } from "./operation-answers.ts";
import { lockOf, verbNamed } from "./operations.ts";
import type { EngineParts } from "./parts.ts";
import { etagOf, present } from "./present.ts";
import { checkReferences, checkUnused, withoutShownUsers } from "./references.ts";
import type { ResourceRecord, ResourceType, World } from "./resource-type.ts";
import { GROUP_TYPE, type Place } from "./target.ts";

/** PUT and PATCH. */
export function change(request: ArmRequest, at: Place, facts: RequestFacts, parts: EngineParts): Answer {
  const world = parts.world();
  const { type } = at;
  const previous = world.find(at.id);
  const groupKey = checkPlace(at, previous, parts, world);
  checkConditions(request, previous);
  if (!isObject(request.body))
    throw new ArmError(400, "InvalidRequestContent", "The request content is no JSON object.");
  if (request.method === "PATCH" && previous === undefined) throw resourceNotFound(type.name, at.name, at.groupName);
  if (request.method === "PATCH" && type.patch === "never") throw notSupported(`PATCH of ${type.name}`);
  const isTagsOnly = request.method === "PATCH" && type.patch === undefined;
  if (isTagsOnly && Object.keys(request.body).some((name) => name !== "tags"))
    throw notSupported(`PATCH of ${type.name} beyond tags`);
  const given =
    request.method === "PATCH" && previous !== undefined ? patched(previous, request.body, isTagsOnly) : request.body;
  const draft = draftOf(given, at, previous, groupKey, world);
  refuseWhileBusy(previous ?? draft, parts);
  if (isTagsOnly) return changeTags(draft, type, world);

  const admitted = type.admit?.(draft, world, previous) ?? draft;
  checkReferences(type, admitted, world, previous === undefined);
  const input = type.put.check?.(admitted, world, given) ?? {};
  const isPatchedAtOnce = request.method === "PATCH" && type.patch === "at-once";
  const isSync = type.put.form === "none" || isPatchedAtOnce;
  const provisioningState = isSync ? "Succeeded" : startState(type, previous === undefined);
  const record = { ...admitted, provisioningState };
  world.put(record);
  const status = isPatchedAtOnce ? 200 : previous === undefined ? type.put.created : type.put.updated;
  const headers = { ETag: etagOf(record) };
  if (isSync) {
    const settled = type.put.settle?.(record, world, {}) ?? record;
    world.put(settled);
    return { status, headers, body: present(settled, type, world) };
  }
  const failure = parts.faults.failureOf(facts);
  const body = type.put.withBody === false ? undefined : present(record, type, world);
  return accepted(request, { record, verbName: "put", input, failure, status, headers, body }, parts);
}

export function remove(request: ArmRequest, at: Place, facts: RequestFacts, parts: EngineParts): Answer {
  const world = parts.world();
  const record = world.find(at.id);
  if (record === undefined) {
    if (at.type.name === GROUP_TYPE) throw groupNotFound(at.name);
    existingGroup(at.groupName, parts, world);
    return { status: 204, headers: {} };
  }
  checkConditions(request, record);
  for (const leaving of [record, ...(at.type.name === GROUP_TYPE ? world.inGroup(record.key) : [])])
    refuseWhileBusy(leaving, parts);
  if (at.type.name !== GROUP_TYPE) checkUnused(record, world);
  const verb = at.type.delete;
  const input = verb.check?.(record, world, request.body) ?? {};
  if (verb.form === "none") {
    world.remove(record.key);
    return { status: 200, headers: {} };
  }
  world.put({ ...record, provisioningState: verb.state ?? "Deleting" });
  const failure = parts.faults.failureOf(facts);
  return accepted(
    request,
    { record, verbName: "delete", input, failure, status: 202, headers: {}, body: undefined },
    parts,
  );
}

export function act(
  request: ArmRequest,
  record: ResourceRecord,
  action: string,
  facts: RequestFacts,
  parts: EngineParts,
): Answer {
  const world = parts.world();
  const type = world.typeOf(record.type);
  const verb = verbNamed(type, action);
  if (verb.form === "none") return { status: 200, headers: {}, body: verb.answer?.(record, world, request.body) ?? {} };
  refuseInDyingGroup(record.groupKey, world);
  refuseWhileBusy(record, parts);
  const input = verb.check?.(record, world, request.body) ?? {};
  const { transition } = verb;
  const hidden = transition === undefined ? record.hidden : { ...record.hidden, transition };
  if (verb.state !== undefined) world.put({ ...record, hidden, provisioningState: verb.state });
  const failure = parts.faults.failureOf(facts);
  return accepted(
    request,
    { record, verbName: action, input, failure, status: 202, headers: {}, body: undefined },
    parts,
  );
}

interface Acceptance {
  readonly record: ResourceRecord;
  readonly verbName: string;
  readonly input: JsonObject;
  readonly failure: ReturnType<EngineParts["faults"]["failureOf"]>;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject | undefined;
}

function accepted(request: ArmRequest, acceptance: Acceptance, parts: EngineParts): Answer {
  const { status, headers, body, ...start } = acceptance;
  const operation = parts.operations.begin({ ...start, subscriptionId: parts.subscriptionId });
  const apiVersion = request.query.get("api-version") ?? "";
  return { status, headers: { ...headers, ...operationHeaders(operation, apiVersion, parts.addresses) }, body };
}

/** Group, parent and name; the key of the group. */
function checkPlace(at: Place, previous: ResourceRecord | undefined, parts: EngineParts, world: World): string {
  const groupKey = keyOf(`/subscriptions/${parts.subscriptionId}/resourceGroups/${at.groupName}`);
  if (at.type.name !== GROUP_TYPE) existingGroup(at.groupName, parts, world);
  refuseInDyingGroup(groupKey, world);
  if (at.parentId !== undefined && world.named(at.parentId) === undefined) throw parentNotFound(at.parentId);
  if (previous === undefined && !at.type.naming.test(at.name)) {
    throw new ArmError(
      400,
      "InvalidResourceName",
      `Resource name ${at.name} is invalid: it must match ${at.type.naming.source}.`,
    );
  }
  return groupKey;
}

function refuseInDyingGroup(groupKey: string, world: World): void {
  const group = world.find(groupKey);
  if (group?.provisioningState !== "Deleting") return;
  const message = `The resource group '${group.name}' is in deprovisioning state and cannot perform this operation.`;
  throw new ArmError(409, "ResourceGroupBeingDeleted", message);
}

function checkConditions(request: ArmRequest, record: ResourceRecord | undefined): void {
  const ifMatch = request.headers["if-match"];
  const ifNoneMatch = request.headers["if-none-match"];
  const bare = (etag: string): string => etag.replace(/^W\//, "").replaceAll('"', "");
  const isOther = ifMatch !== undefined && ifMatch !== "*" && (record === undefined || bare(ifMatch) !== record.etag);
  const isMissing = ifMatch === "*" && record === undefined;
  if (isOther || isMissing || (ifNoneMatch === "*" && record !== undefined)) {
    throw new ArmError(
      412,
      "PreconditionFailed",
      "The precondition given in the request header is not met by the current resource.",
    );
  }
}

/** Refuses while another operation runs on the resource, its parent or its siblings. */
function refuseWhileBusy(record: ResourceRecord, parts: EngineParts): void {
  if (!parts.operations.isBusy(lockOf(record))) return;
  const isNetwork = record.type.startsWith("Microsoft.Network/");
  const message = `Another operation on this or a dependent resource is in progress. The resource is ${record.id}.`;
  throw new ArmError(409, isNetwork ? "AnotherOperationInProgress" : "Conflict", message);
}

function draftOf(
  given: JsonObject,
  at: Place,
  previous: ResourceRecord | undefined,
  groupKey: string,
  world: World,
): ResourceRecord {
  const { type } = at;
  const parent = at.parentId === undefined ? undefined : world.find(at.parentId);
  const location = locationOf(given, at, previous, parent, world);
  const parsed = type.schema.safeParse({ ...given, properties: given["properties"] ?? {} });
  if (!parsed.success) throw invalidParameter(schemaFault(parsed.error));
  const body = parsed.data;
  const known = Object.entries(body).filter(
    ([name]) => name === "tags" || name === "properties" || type.members.includes(name),
  );
  const { provisioningState: _, ...properties } = withoutShownUsers(type.name, body.properties, world);
  const group = world.find(groupKey);
  const id =
    parent !== undefined
      ? `${parent.id}${at.id.slice(parent.id.length)}`
      : at.id.replace(/^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i, group?.id ?? "$&");
  return {
    id: previous?.id ?? id,
    key: keyOf(at.id),
    type: type.name,
    name: previous?.name ?? at.name,
    groupKey,
    parentKey: parent?.key,
    location,
    body: { ...Object.fromEntries(known), properties },
    hidden: previous?.hidden ?? {},
    provisioningState: previous?.provisioningState ?? "Creating",
    etag: world.newGuid(),
  };
}

function locationOf(
  given: JsonObject,
  at: Place,
  previous: ResourceRecord | undefined,
  parent: ResourceRecord | undefined,
  world: World,
): string {
  const text = given["location"];
  const wanted = typeof text === "string" && text !== "" ? regionName(text) : undefined;
  if (parent !== undefined) return parent.location;
  if (wanted === undefined)
    throw new ArmError(400, "LocationRequired", "The location property is required for this definition.");
  if (!world.facts.regions.includes(wanted)) {
    const message = `The provided location '${wanted}' is not available for resource type '${at.type.name}'. List of available regions for the resource type is '${world.facts.regions.join(",")}'.`;
    throw new ArmError(400, "LocationNotAvailableForResourceType", message);
  }
  if (previous !== undefined && previous.location !== wanted) {
    const isGroup = at.type.name === GROUP_TYPE;
    const message = `The resource '${at.name}' already exists in location '${previous.location}' in resource group '${at.groupName}'. A resource with the same name cannot be created in location '${wanted}'. Please select a new resource name.`;
    throw new ArmError(409, isGroup ? "InvalidResourceGroupLocation" : "InvalidResourceLocation", message);
  }
  return wanted;
}

function patched(previous: ResourceRecord, patch: JsonObject, isTagsOnly: boolean): JsonObject {
  const base = { ...previous.body, location: previous.location };
  const merged = mergePatch(base, isTagsOnly ? {} : patch);
  const result = isObject(merged) ? merged : base;
  // Tags are replaced as a whole, not merged.
  return patch["tags"] === undefined ? result : { ...result, tags: patch["tags"] };
}

function changeTags(draft: ResourceRecord, type: ResourceType, world: World): Answer {
  world.put(draft);
  return { status: 200, headers: { ETag: etagOf(draft) }, body: present(draft, type, world) };
}

function startState(type: ResourceType, isNew: boolean): string {
  return isNew ? (type.put.state ?? "Creating") : "Updating";
}

function schemaFault(error: z.ZodError): string {
  const issue = error.issues[0];
  return `The value of parameter ${issue?.path.join(".") ?? ""} is invalid: ${issue?.message ?? "unknown"}.`;
}
