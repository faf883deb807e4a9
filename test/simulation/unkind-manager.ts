import { textOf } from "../../replication/resources/json.ts";
import type { Begun, Change, ResourceJson, ResourceManager } from "../../replication/resources/resource-manager.ts";
import type { MemoryResourceManager } from "../memory/memory-resource-manager.ts";
import type { Random } from "../memory/random.ts";
import type { Timeline } from "./timeline.ts";

export interface UnkindOptions {
  readonly timeline: Timeline;
  readonly random: Random;
  /** How often a list is old, a new resource is not found, and a removed one still counts as a user. */
  readonly rate: (kind: "listing-stale" | "resource-late" | "in-use-late") => number;
}

/**
 * How long Azure's caches are behind: those of single resources, and those that lists come from (a quarter of an hour
 * was seen).
 */
const BEHIND_MS = 90_000;
const LIST_BEHIND_MS = 10 * 60_000;

interface Known {
  readonly body: ResourceJson;
  readonly bornMs: number;
  goneMs: number | undefined;
}

/**
 * Resource Manager as it is: lists come from a cache that lacks what is new and shows what is gone, a resource is not
 * found for a while after it was made, and what another used is in use for a while after the other is gone.
 */
export function unkindManager(
  inner: MemoryResourceManager,
  { timeline, random, rate }: UnkindOptions,
): ResourceManager {
  const known = new Map<string, Known>();
  const look = (): void => {
    const nowMs = timeline.now();
    // Resources that existed before the first request are old.
    const isFirst = known.size === 0;
    for (const [id, body] of inner.resources) {
      const found = known.get(id);
      if (found === undefined || found.goneMs !== undefined)
        known.set(id, { body, bornMs: isFirst ? -Infinity : nowMs, goneMs: undefined });
    }
    for (const [id, each] of known) if (each.goneMs === undefined && !inner.resources.has(id)) each.goneMs = nowMs;
  };
  const isNew = (id: string, forMs = BEHIND_MS): boolean => {
    const found = known.get(id.toLowerCase());
    return found !== undefined && found.goneMs === undefined && timeline.now() - found.bornMs < forMs;
  };
  const isJustGone = ({ goneMs }: Known, forMs = BEHIND_MS): boolean =>
    goneMs !== undefined && timeline.now() - goneMs < forMs;

  const lateRefusal = (change: Change): Begun | undefined => {
    const failed = (
      code: "azure-resource-missing" | "azure-resource-conflict",
      azureCode: string,
      message: string,
    ): Begun => ({
      kind: "failed",
      code,
      azureCode,
      message,
      retryable: false,
    });
    const group = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(change.id)?.[0] ?? "";
    if (change.kind === "put" && group !== change.id && isNew(group) && random.chance(rate("resource-late"))) {
      return failed(
        "azure-resource-missing",
        "ResourceGroupNotFound",
        `Resource group '${group.split("/").at(-1)}' could not be found.`,
      );
    }
    if (change.kind !== "remove" || !random.chance(rate("in-use-late"))) return undefined;
    const own = change.id.toLowerCase();
    const user = [...known].find(
      ([id, each]) => id !== own && isJustGone(each) && JSON.stringify(each.body).toLowerCase().includes(`"${own}`),
    );
    return (
      user &&
      failed(
        "azure-resource-conflict",
        "InUse",
        `Resource ${change.id} is in use by ${textOf(user[1].body, "id") ?? user[0]}.`,
      )
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
      const stale = random.pick(["lacks", "lacks", "shows", "both"] as const);
      const scope = collection.toLowerCase().replace(/\/resources$/, "/");
      const type = /\/providers\/([^/]+\/[^/]+)$/.exec(collection)?.[1]?.toLowerCase();
      const gone = [...known].filter(([id, each]) => {
        const isInScope = type === undefined ? id.startsWith(scope) : id.includes(`/providers/${type}/`);
        return isJustGone(each, LIST_BEHIND_MS) && isInScope;
      });
      const kept = stale === "shows" ? items : items.filter((item) => !isNew(textOf(item, "id") ?? "", LIST_BEHIND_MS));
      return stale === "lacks" ? kept : [...kept, ...gone.map(([, { body }]) => body)];
    },
    begin: async (change) => {
      look();
      const refused = lateRefusal(change);
      const begun = refused ?? (await inner.begin(change));
      look();
      return begun;
    },
    poll: async (operation) => {
      const looked = await inner.poll(operation);
      look();
      return looked;
    },
  };
}
