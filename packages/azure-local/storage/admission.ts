import type { StorageService } from "./azurite-modules.ts";
import { identityOf, identityOfPrincipal, principalOf, type Identity } from "./identity.ts";

/** Whom an account lets in, as its resource says. */
export interface AccountAccess {
  /** False: requests signed with an account key, by header or by SAS, are refused. */
  readonly allowsSharedKey: boolean;
  /** False: no container can be made public, and requests without credentials are refused. */
  readonly allowsPublicBlobs: boolean;
  /** Where requests may come from: "services" are those of Azure with an identity. */
  readonly network: "all" | "services" | "none";
}

/** An account without a resource: all that Azurite takes. */
export const OPEN_ACCESS: AccountAccess = { allowsSharedKey: true, allowsPublicBlobs: true, network: "all" };

/** What a request needs a role for. */
export interface RoleQuestion {
  readonly account: string;
  /** Empty for requests about the whole account. */
  readonly containerOrQueue: string;
  readonly principalId: string;
  readonly right: DataRight;
}

type DataRight =
  | "blob-read"
  | "blob-write"
  | "blob-tags"
  | "blob-delegate"
  | "queue-read"
  | "queue-write"
  | "queue-send"
  | "queue-process";

/** True if the principal has a role for it. Undefined: every known token has every right. */
export type RoleCheck = (question: RoleQuestion) => boolean;

/** The parts of a request that decide. */
export interface RequestFacts {
  readonly method: string;
  /** Path and query as sent. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface AdmissionRules {
  readonly account: string;
  readonly service: StorageService;
  readonly access: AccountAccess;
  readonly secret: string;
  readonly checkRole: RoleCheck | undefined;
}

export type Admission =
  /** Azurite decides: it knows the keys. */
  | { readonly kind: "undecided" }
  /** By its bearer token: Azurite must not ask for a key. */
  | { readonly kind: "admitted" }
  /** Get User Delegation Key, which Azurite offers over HTTPS only. */
  | { readonly kind: "delegates"; readonly principalId: string }
  | { readonly kind: "refused"; readonly status: number; readonly code: string; readonly message: string };

/**
 * Judges a request before Azurite sees it: pure. Codes and messages are Azure's (azure-docs: storage error codes,
 * "Prevent Shared Key authorization", "Configure Azure Storage firewalls").
 */
export function admit(request: RequestFacts, rules: AdmissionRules): Admission {
  const query = new URLSearchParams(request.url.split("?")[1] ?? "");
  const credential = credentialOf(request, query, rules.secret);
  if (credential.kind === "unknown-bearer")
    return refused(401, "InvalidAuthenticationInfo", "Authentication information is not given in the correct format.");
  const { identity } = credential;
  if (identity?.kind !== "platform" && !isFromAllowedNetwork(identity, rules.access))
    return refused(403, "AuthorizationFailure", "This request is not authorized to perform this operation.");
  if (credential.kind === "key" && !rules.access.allowsSharedKey)
    return refused(
      403,
      "KeyBasedAuthenticationNotPermitted",
      "Key based authentication is not permitted on this storage account.",
    );
  const isMadePublic = request.headers["x-ms-blob-public-access"] !== undefined;
  if (!rules.access.allowsPublicBlobs && (credential.kind === "none" || isMadePublic))
    return refused(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.");
  if (identity === undefined) return { kind: "undecided" };
  const right = rightOf(request, query, rules);
  const principalId = principalOf(identity);
  const containerOrQueue = request.url.split("?")[0]?.split("/")[2] ?? "";
  const question = { account: rules.account, containerOrQueue, principalId, right };
  const hasRole = identity.kind === "platform" || rules.checkRole?.(question) !== false;
  if (!hasRole)
    return refused(
      403,
      "AuthorizationPermissionMismatch",
      "This request is not authorized to perform this operation using this permission.",
    );
  if (credential.kind === "delegated") return { kind: "undecided" };
  return right === "blob-delegate" ? { kind: "delegates", principalId } : { kind: "admitted" };
}

type Credential =
  | { readonly kind: "bearer" | "delegated"; readonly identity: Identity }
  | { readonly kind: "key" | "none" | "unknown-bearer"; readonly identity?: undefined };

function credentialOf({ headers }: RequestFacts, query: URLSearchParams, secret: string): Credential {
  const { authorization } = headers;
  if (typeof authorization === "string") {
    const bearer = /^Bearer (.+)$/i.exec(authorization)?.[1];
    if (bearer === undefined) return { kind: "key" };
    const identity = identityOf(secret, bearer);
    return identity === undefined ? { kind: "unknown-bearer" } : { kind: "bearer", identity };
  }
  if (!query.has("sig")) return { kind: "none" };
  const delegatedBy = query.get("skoid");
  return delegatedBy === null ? { kind: "key" } : { kind: "delegated", identity: identityOfPrincipal(delegatedBy) };
}

function isFromAllowedNetwork(identity: Identity | undefined, { network }: AccountAccess): boolean {
  return network === "all" || (network === "services" && identity?.kind === "service");
}

function rightOf({ method, url }: RequestFacts, query: URLSearchParams, { service }: AdmissionRules): DataRight {
  const comp = query.get("comp");
  const isRead = method === "GET" || method === "HEAD";
  if (service === "blob") {
    if (comp === "userdelegationkey") return "blob-delegate";
    if (comp === "tags") return "blob-tags";
    return isRead ? "blob-read" : "blob-write";
  }
  const isMessage = /\/messages(?:\/|\?|$)/.test(url);
  if (!isMessage) return isRead ? "queue-read" : "queue-write";
  if (method === "POST") return "queue-send";
  return query.get("peekonly") === "true" ? "queue-read" : "queue-process";
}

function refused(status: number, code: string, message: string): Admission {
  return { kind: "refused", status, code, message };
}
