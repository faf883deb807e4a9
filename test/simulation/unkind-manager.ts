import type { Begun, Change, ResourceJson, ResourceManager } from "../../replication/ports-resource-manager.ts";
import { textOf } from "../../replication/resources/json.ts";
import type { MemoryResourceManager } from "../memory/memory-resource-manager.ts";
import type { Random } from "../memory/random.ts";
import type { Timeline } from "./timeline.ts";

export interface UnkindOptions {
  readonly timeline: Timeline;
  readonly random: Random;
  /** How often a list is old, a new resource is not found, and a removed one still counts as a user. */
  readonly rate: (kind: "listing-stale" | "resource-late" | "in-use-late") => number;
}

/** How long Azure's caches are behind. In reality minutes, a quarter of an hour at the worst. */
const BEHIND_MS = 90_000;

interface Known {
  readonly body: ResourceJson;
  readonly bornMs: number;
  goneMs: number | undefined;
}

/**
 * Resource Manager as it is: lists come from a cache that lacks what is new and shows what is gone, a resource is not found for a while after it was made, and
 * what another used is in use for a while after the other is gone.
 */
export function unkindManager(inner: MemoryResourceManager, { timeline, random, rate }: UnkindOptions): ResourceManager {
  const known = new Map<string, Known>();
  const look = (): void => {
    const nowMs = timeline.now();
    for (const [id, body] of inner.resources) {
      const found = known.get(id);
      if (found === undefined || found.goneMs !== undefined) known.set(id, { body, bornMs: nowMs, goneMs: undefined });
    }
    for (const [id, each] of known) if (each.goneMs === undefined && !inner.resources.has(id)) each.goneMs = nowMs;
  };
  const isNew = (id: string): boolean => {
    const found = known.get(id.toLowerCase());
    return found !== undefined && found.goneMs === undefined && timeline.now() - found.bornMs < BEHIND_MS;
  };
  const isJustGone = ({ goneMs }: Known): boolean => goneMs !== undefined && timeline.now() - goneMs < BEHIND_MS;

  const lateRefusal = (change: Change): Begun | undefined => {
    const failed = (code: "azure-resource-missing" | "azure-resource-conflict", azureCode: string, message: string): Begun => ({
      kind: "failed",
      code,
      azureCode,
      message,
      retryable: false,
    });
    const group = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(change.id)?.[0] ?? "";
    if (change.kind === "put" && group !== change.id && isNew(group) && random.chance(rate("resource-late"))) {
      return failed("azure-resource-missing", "ResourceGroupNotFound", `Resource group '${group.split("/").at(-1)}' could not be found.`);
    }
    if (change.kind !== "remove" || !random.chance(rate("in-use-late"))) return undefined;
    const own = change.id.toLowerCase();
    const user = [...known].find(
      ([id, each]) => id !== own && isJustGone(each) && JSON.stringify(each.body).toLowerCase().includes(`"${own}`),
    );
    return (
      user && failed("azure-resource-conflict", "InUse", `Resource ${change.id} is in use by ${textOf(user[1].body, "id") ?? user[0]}.`)
    );
  };
  return {
    read: async (id) => {
      look();
      const isHidden = isNew(id) && random.chance(rate("resource-late"));
      return isHidden ? undefined : inner.read(id);
    },
    list: async (collection, filter) => {
      look();
      const items = await inner.list(collection, filter);
      if (!random.chance(rate("listing-stale"))) return items;
      const scope = collection.toLowerCase().replace(/\/resources$/, "/");
      const type = /\/providers\/([^/]+\/[^/]+)$/.exec(collection)?.[1]?.toLowerCase();
      const gone = [...known].filter(([id, each]) => {
        const isInScope = type === undefined ? id.startsWith(scope) : id.includes(`/providers/${type}/`);
        return isJustGone(each) && isInScope;
      });
      return [...items.filter((item) => !isNew(textOf(item, "id") ?? "")), ...gone.map(([, { body }]) => body)];
    },
    begin: async (change) => {
      look();
      const refused = lateRefusal(change);
      const begun = refused ?? (await inner.begin(change));
      look();
      return begun;
    },
    look: async (operation) => {
      const looked = await inner.look(operation);
      look();
      return looked;
    },
  };
}
