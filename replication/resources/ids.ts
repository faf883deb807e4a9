/** The parts of a Resource Manager path. */
export interface ResourcePath {
  readonly subscriptionId: string;
  /** Undefined for resources of the whole subscription. */
  readonly resourceGroup: string | undefined;
  /** In lower case, for example `microsoft.network/virtualnetworks/subnets`. */
  readonly type: string;
  /** The last name; undefined for a collection. */
  readonly name: string | undefined;
  /**
   * Its parent: the machine of an extension, the network of a subnet, the group of a resource. Undefined at the top.
   */
  readonly parentId: string | undefined;
}

const GROUPS = "microsoft.resources/resourcegroups";
/** `{group}/resources`: everything in a group, of any type. */
const ALL_IN_GROUP = "microsoft.resources/resources";

/**
 * Undefined when the text is not a path below a subscription. Names keep their case; Azure compares them
 * case-insensitively.
 */
export function parsePath(path: string): ResourcePath | undefined {
  const contents = /^(\/subscriptions\/([^/?#]+)\/resourceGroups\/([^/?#]+))\/resources$/i.exec(path);
  if (contents?.[2] !== undefined) {
    return {
      subscriptionId: contents[2],
      resourceGroup: contents[3],
      type: ALL_IN_GROUP,
      name: undefined,
      parentId: contents[1],
    };
  }
  const match =
    /^\/subscriptions\/([^/?#]+)(?:\/resourceGroups(?:\/([^/?#]+))?)?(?:\/providers\/([^/?#]+)\/([^?#]+))?$/i.exec(
      path,
    );
  const subscriptionId = match?.[1];
  if (subscriptionId === undefined) return undefined;
  const [, , group, namespace, rest] = match ?? [];
  if (namespace === undefined || rest === undefined) {
    if (!/\/resourceGroups/i.test(path)) return undefined;
    return { subscriptionId, resourceGroup: group, type: GROUPS, name: group, parentId: undefined };
  }
  const segments = rest.split("/");
  if (segments.includes("")) return undefined;
  const type = [namespace, ...segments.filter((_, at) => at % 2 === 0)].join("/").toLowerCase();
  const name = segments.length % 2 === 0 ? segments.at(-1) : undefined;
  return { subscriptionId, resourceGroup: group, type, name, parentId: parentOf(path, segments, name) };
}

function parentOf(path: string, segments: readonly string[], name: string | undefined): string | undefined {
  const own = name === undefined ? 1 : 2;
  if (segments.length > own) return path.split("/").slice(0, -own).join("/");
  const group = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(path);
  return group?.[0];
}

/** The last part of an id. */
export function nameOf(id: string): string {
  return id.split("/").at(-1) ?? "";
}

export function sameId(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}
