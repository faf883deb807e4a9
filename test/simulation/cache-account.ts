import type { HttpAnswer } from "../../mobility/system/transport.ts";
import { CACHE_GRANT_MS } from "../../replication/limits.ts";
import { cacheContainer, parseDeltaName } from "../../replication/names.ts";
import type { CacheAccess, ItemStores } from "../../replication/ports.ts";
import { CACHE_HOST, httpAnswer, md5Of } from "./network.ts";
import type { Timeline } from "./timeline.ts";

/** The cache account as uploads see it: grants, conditions, and an event for every blob that is made. */
export interface CacheAccount {
  readonly access: CacheAccess;
  readonly putBlob: (url: URL, bytes: Buffer, contentMd5: string) => Promise<HttpAnswer>;
  /** URLs with a credential that is valid now. */
  openGrants(): readonly string[];
}

export interface CacheAccountOptions {
  readonly timeline: Timeline;
  readonly stores: ItemStores;
  /** Whether the container exists: one that was removed accepts nothing. */
  readonly hasContainer: (itemId: string, stream: number) => boolean;
  readonly created: (itemId: string, stream: number) => void;
}

interface Grant {
  readonly itemId: string;
  readonly stream: number;
  readonly expiresMs: number;
}

export function createCacheAccount({ timeline, stores, hasContainer, created }: CacheAccountOptions): CacheAccount {
  const grants = new Map<string, Grant>();
  const addressOf = (signature: string): string => {
    const { itemId = "", stream = 0 } = grants.get(signature) ?? {};
    return `https://${CACHE_HOST}/${cacheContainer(itemId, stream)}?sig=${signature}`;
  };
  return {
    access: {
      endpoint: async () => `https://${CACHE_HOST}`,
      grantCreate: async (itemId, stream) => {
        const signature = `${grants.size + 1}`;
        const expiresMs = timeline.now() + CACHE_GRANT_MS;
        grants.set(signature, { itemId, stream, expiresMs });
        return { containerUrl: addressOf(signature), expiresMs };
      },
    },
    openGrants: () =>
      [...grants].filter(([, { expiresMs }]) => expiresMs > timeline.now()).map(([signature]) => addressOf(signature)),
    putBlob: async (url, bytes, contentMd5) => {
      const grant = grants.get(url.searchParams.get("sig") ?? "");
      const [, container, ...name] = url.pathname.split("/");
      if (
        grant === undefined ||
        container !== cacheContainer(grant.itemId, grant.stream) ||
        grant.expiresMs <= timeline.now()
      )
        return httpAnswer(403, "AuthenticationFailed");
      if (!hasContainer(grant.itemId, grant.stream)) return httpAnswer(404, "ContainerNotFound");
      if (md5Of(bytes) !== contentMd5) return httpAnswer(400, "Md5Mismatch");
      const parsed = parseDeltaName(name.join("/"));
      if (parsed === undefined) return httpAnswer(400, "InvalidUri");
      const etag = await stores.cache(grant.itemId, grant.stream).create(name.join("/"), bytes);
      if (etag === undefined) return httpAnswer(403, "UnauthorizedBlobOverwrite");
      created(grant.itemId, grant.stream);
      return httpAnswer(201);
    },
  };
}
