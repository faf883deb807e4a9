import { SASProtocol, type UserDelegationKey } from "@azure/storage-blob";
import { GRANT_SKEW_MS, STORE_READ_MS } from "../replication/limits.ts";
import type { Clock } from "../replication/ports.ts";
import type { BlobAccount } from "./connections.ts";
import { reading } from "./errors.ts";

/** Start, end and subject of a grant. It begins early, so that a clock that is behind accepts it. */
export interface GrantTerm {
  readonly startsOn: Date;
  readonly expiresOn: Date;
  readonly protocol: SASProtocol;
}

export function grantTerm(account: BlobAccount, clock: Clock, lengthMs: number): GrantTerm {
  // A signature counts whole seconds; the promised term must not be longer than the signed one.
  const nowMs = Math.floor(clock.now() / 1000) * 1000;
  return {
    startsOn: new Date(nowMs - GRANT_SKEW_MS),
    expiresOn: new Date(nowMs + lengthMs),
    protocol: grantProtocol(account.retrying.url),
  };
}

/**
 * Grants are valid over https only, except for storage on this very machine, which has no certificate
 * (docs/azure-differences.md).
 */
export function grantProtocol(accountUrl: string): SASProtocol {
  const { protocol, hostname } = new URL(accountUrl);
  const local = protocol === "http:" && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  return local ? SASProtocol.HttpsAndHttp : SASProtocol.Https;
}

/**
 * The key that signs a grant: undefined for the account key, which the client holds, or a user delegation key for the
 * whole term.
 */
export async function signingKey(account: BlobAccount, term: GrantTerm): Promise<UserDelegationKey | undefined> {
  if (account.signer === "account-key") return undefined;
  return reading("get user delegation key", {}, STORE_READ_MS, (abortSignal) =>
    account.retrying.getUserDelegationKey(term.startsOn, term.expiresOn, { abortSignal }),
  );
}
