import { ArmError, notSupported } from "./arm-error.ts";
import { keyOf } from "./ids.ts";
import { isForeignNamespace } from "./namespaces.ts";
import type { ResourceType } from "./resource-type.ts";

/** The meaning of a request's path. */
export type Target =
  | { readonly kind: "resource"; readonly at: Place }
  /** An action (POST) or a view (GET) of a resource. */
  | { readonly kind: "verb"; readonly at: Place; readonly verb: string }
  | { readonly kind: "collection"; readonly type: ResourceType; readonly within: Within }
  /** Every resource of a group, whatever its type. */
  | { readonly kind: "group-resources"; readonly groupName: string }
  | { readonly kind: "operation"; readonly view: "status" | "result"; readonly operationId: string }
  /** Not a resource: skus, usages, providers, ... */
  | { readonly kind: "other" };

/** Where a resource is, or would be. */
export interface Place {
  readonly type: ResourceType;
  readonly subscriptionId: string;
  readonly groupName: string;
  readonly name: string;
  readonly id: string;
  readonly parentId: string | undefined;
}

export type Within =
  | { readonly kind: "subscription" }
  | { readonly kind: "group"; readonly groupName: string }
  | { readonly kind: "parent"; readonly parentId: string };

export const GROUP_TYPE = "Microsoft.Resources/resourceGroups";

/** Parses a path by the table of types. Errors: `InvalidResourceType`, `NotSupportedByLocalCloud`. */
export function readTarget(path: string, types: readonly ResourceType[]): Target {
  const operation = /\/(operations|operationresults)\/([^/]+)$/i.exec(path);
  if (operation !== null) {
    return {
      kind: "operation",
      view: operation[1]?.toLowerCase() === "operations" ? "status" : "result",
      operationId: operation[2] ?? "",
    };
  }
  const scope = /^\/subscriptions\/([^/]+)(?:\/resourceGroups(?:\/([^/]+))?)?(?:\/(resources|providers\/.+))?$/i.exec(
    path,
  );
  if (scope === null) return { kind: "other" };
  const [, subscriptionId = "", groupName, rest] = scope;
  const isGroups = /^\/subscriptions\/[^/]+\/resourceGroups/i.test(path);
  if (rest === undefined) return isGroups ? groupTarget(subscriptionId, groupName, types) : { kind: "other" };
  if (isGroups && groupName === undefined) return { kind: "other" };
  if (rest.toLowerCase() === "resources")
    return groupName === undefined ? { kind: "other" } : { kind: "group-resources", groupName };
  const [provider = "", ...segments] = rest.split("/").slice(1);
  if (groupName === undefined) {
    const type = segments.length === 1 ? findType(types, `${provider}/${segments[0]}`) : undefined;
    return type === undefined ? { kind: "other" } : { kind: "collection", type, within: { kind: "subscription" } };
  }
  return resourceTarget({ subscriptionId, groupName, provider, segments }, types);
}

function groupTarget(subscriptionId: string, groupName: string | undefined, types: readonly ResourceType[]): Target {
  const type = typeNamed(types, GROUP_TYPE);
  if (groupName === undefined) return { kind: "collection", type, within: { kind: "subscription" } };
  const id = `/subscriptions/${subscriptionId}/resourceGroups/${groupName}`;
  return { kind: "resource", at: { type, subscriptionId, groupName, name: groupName, id, parentId: undefined } };
}

interface ProviderPath {
  readonly subscriptionId: string;
  readonly groupName: string;
  readonly provider: string;
  /** Type and name by turns. */
  readonly segments: readonly string[];
}

function resourceTarget(path: ProviderPath, types: readonly ResourceType[]): Target {
  const { subscriptionId, groupName, provider, segments } = path;
  const typeSegments = segments.filter((_, at) => at % 2 === 0);
  const typeName = [provider, ...typeSegments].join("/");
  const type = findType(types, typeName);
  if (segments.length % 2 === 0) {
    if (type === undefined) throw unknownType(typeName, types);
    return { kind: "resource", at: placeOf(path, type, segments) };
  }
  const before = segments.slice(0, -1);
  if (type !== undefined) {
    if (before.length === 0) return { kind: "collection", type, within: { kind: "group", groupName } };
    const parentId = `/subscriptions/${subscriptionId}/resourceGroups/${groupName}/providers/${provider}/${before.join("/")}`;
    return { kind: "collection", type, within: { kind: "parent", parentId } };
  }
  const owner = findType(types, [provider, ...typeSegments.slice(0, -1)].join("/"));
  if (before.length === 0 || owner === undefined) throw unknownType(typeName, types);
  return { kind: "verb", at: placeOf(path, owner, before), verb: segments.at(-1) ?? "" };
}

function placeOf(
  { subscriptionId, groupName, provider }: ProviderPath,
  type: ResourceType,
  segments: readonly string[],
): Place {
  const below = (upTo: readonly string[]): string =>
    `/subscriptions/${subscriptionId}/resourceGroups/${groupName}/providers/${canonical(type, provider, upTo)}`;
  const parent = segments.slice(0, -2);
  return {
    type,
    subscriptionId,
    groupName,
    name: segments.at(-1) ?? "",
    id: below(segments),
    parentId: parent.length === 0 ? undefined : below(parent),
  };
}

/** Provider and type segments as Azure writes them, names as the client wrote them. */
function canonical(type: ResourceType, provider: string, segments: readonly string[]): string {
  const [namespace = provider, ...typeNames] = type.name.split("/");
  const spelled = segments.map((segment, at) => (at % 2 === 0 ? (typeNames[at / 2] ?? segment) : segment));
  return [namespace, ...spelled].join("/");
}

function findType(types: readonly ResourceType[], name: string): ResourceType | undefined {
  return types.find((type) => keyOf(type.name) === keyOf(name));
}

/** For types known to be in the table. */
export function typeNamed(types: readonly ResourceType[], name: string): ResourceType {
  const type = findType(types, name);
  if (type === undefined) throw notSupported(`the resource type ${name}`);
  return type;
}

function unknownType(name: string, types: readonly ResourceType[]): ArmError {
  const namespace = keyOf(name.split("/")[0] ?? "");
  const isKnown = types.some((type) => keyOf(type.name).startsWith(`${namespace}/`));
  if (isKnown || isForeignNamespace(namespace)) return notSupported(`the resource type or action ${name}`);
  return new ArmError(404, "InvalidResourceNamespace", `The resource namespace '${name.split("/")[0]}' is invalid.`);
}
