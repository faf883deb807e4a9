import { ContainerSASPermissions } from "@azure/storage-blob";
import { CACHE_GRANT_MS, CACHE_GRANTS_MAX_COUNT } from "../replication/limits.ts";
import { cacheContainer } from "../replication/names.ts";
import type { CacheAccess, Clock } from "../replication/ports.ts";
import type { Accounts } from "./accounts.ts";
import type { BlobAccount } from "./connections.ts";
import { grantTerm, signingKey } from "./signing.ts";

type Grant = Awaited<ReturnType<CacheAccess["grantCreate"]>>;

/**
 * Grants to create blobs in the one cache container of a stream, and nothing else (rule 8): no read, overwrite, delete
 * or list. A grant is reused until half of its lifetime is over, so that a heartbeat needs no signature and its bearer
 * always has at least half of it left.
 */
export function openCacheAccess(accounts: Pick<Accounts, "of">, clock: Clock): CacheAccess {
  const grants = new Map<string, Grant>();
  return {
    endpoint: async (itemId) => (await accounts.of(itemId)).cache.retrying.url.replace(/\/$/, ""),
    grantCreate: async (itemId, stream) => {
      const { cache: account } = await accounts.of(itemId);
      const container = cacheContainer(itemId, stream);
      const kept = grants.get(container);
      const leftMs = (kept?.expiresMs ?? 0) - clock.now();
      // One that lasts longer than allowed was signed while the clock was ahead: the store sees its start in the
      // future.
      if (kept !== undefined && leftMs > CACHE_GRANT_MS / 2 && leftMs <= CACHE_GRANT_MS) return kept;
      const grant = await sign(account, clock, container);
      // Deleted first, so that the map stays in the order of signing and its first entry is the oldest.
      grants.delete(container);
      grants.set(container, grant);
      const oldest = grants.keys().next().value;
      if (grants.size > CACHE_GRANTS_MAX_COUNT && oldest !== undefined) grants.delete(oldest);
      return grant;
    },
  };
}

async function sign(account: BlobAccount, clock: Clock, name: string): Promise<Grant> {
  const container = account.retrying.getContainerClient(name);
  const term = grantTerm(account, clock, CACHE_GRANT_MS);
  const key = await signingKey(account, term);
  const values = { ...term, permissions: ContainerSASPermissions.parse("c") };
  const containerUrl =
    key === undefined ? container.generateSasUrl(values) : container.generateUserDelegationSasUrl(values, key);
  return { containerUrl: await containerUrl, expiresMs: term.expiresOn.getTime() };
}
