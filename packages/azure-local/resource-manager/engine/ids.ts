/** A parsed resource id. Azure answers ids in any case, so they are compared in lower case. */
export interface ResourceId {
  readonly subscriptionId: string;
  readonly groupName: string;
  /** `Microsoft.Compute/virtualMachines/extensions`; empty for a resource group itself. */
  readonly type: string;
  /** One name per type segment; the last one is the resource's own. */
  readonly names: readonly string[];
}

/** What is stored and compared instead of an id. */
export const keyOf = (id: string): string => id.toLowerCase().replace(/\/+$/, "");
export const sameId = (one: string, other: string): boolean => keyOf(one) === keyOf(other);

/** Undefined when the text is not the id of a resource or group. */
export function parseId(id: string): ResourceId | undefined {
  const match = /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)(?:\/providers\/([^/]+)\/(.+?))?\/?$/i.exec(id);
  const [, subscriptionId = "", groupName = "", provider, rest = ""] = match ?? [];
  if (match === null) return undefined;
  if (provider === undefined) return { subscriptionId, groupName, type: "", names: [] };
  const segments = rest.split("/");
  if (segments.length % 2 !== 0) return undefined;
  const types = segments.filter((_, at) => at % 2 === 0);
  return {
    subscriptionId,
    groupName,
    type: [provider, ...types].join("/"),
    names: segments.filter((_, at) => at % 2 === 1),
  };
}

/** "West Europe" and "westeurope" are the same region. */
export const regionName = (location: string): string => location.replaceAll(" ", "").toLowerCase();

export const lastName = (id: string): string => id.slice(id.lastIndexOf("/") + 1);
