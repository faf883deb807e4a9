/**
 * The app's identity in this cloud: what stands behind the one bearer token that its storage takes. Role assignments
 * name it as `principalId`.
 */
export const APP_PRINCIPAL_ID = "1ee3a2d0-0000-4000-8000-0000000000a1";
/** The tenant of every identity here. */
export const TENANT_ID = "1ee3a2d0-0000-4000-8000-0000000000a0";

/** Who sends a request with a bearer token. */
export type Identity =
  /** The app, or whoever holds its token. */
  | { readonly kind: "app" }
  /** A service of Azure with the identity of a resource, as the system topic of an account: firewalls may trust it. */
  | { readonly kind: "service"; readonly principalId: string }
  /** Azure itself, as when it imports a disk: no role, key or firewall stands against it. */
  | { readonly kind: "platform" };

/** The bearer token of an identity. `secret` is the app's own; the others are made of it. */
export function bearerOf(secret: string, identity: Identity): string {
  switch (identity.kind) {
    case "app":
      return secret;
    case "service":
      return `${secret}.service.${identity.principalId}`;
    case "platform":
      return `${secret}.platform`;
  }
}

/** Undefined for a token of no identity here. */
export function identityOf(secret: string, bearer: string): Identity | undefined {
  if (!bearer.startsWith(secret)) return undefined;
  const rest = bearer.slice(secret.length);
  if (rest === "") return { kind: "app" };
  if (rest === ".platform") return { kind: "platform" };
  const principalId = /^\.service\.([0-9a-f-]+)$/.exec(rest)?.[1];
  return principalId === undefined ? undefined : { kind: "service", principalId };
}

export function principalOf(identity: Identity): string {
  switch (identity.kind) {
    case "app":
      return APP_PRINCIPAL_ID;
    case "service":
      return identity.principalId;
    case "platform":
      return PLATFORM_PRINCIPAL_ID;
  }
}

/** Whom a user delegation key names as `skoid`. */
export function identityOfPrincipal(principalId: string): Identity {
  if (principalId === APP_PRINCIPAL_ID) return { kind: "app" };
  return principalId === PLATFORM_PRINCIPAL_ID ? { kind: "platform" } : { kind: "service", principalId };
}

const PLATFORM_PRINCIPAL_ID = "1ee3a2d0-0000-4000-8000-0000000000a2";
