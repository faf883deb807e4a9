import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { AuthorizationLevel } from "./routes.ts";

/** The host's keys: `functionKey` opens functions of level `function`, `masterKey` everything. */
export interface HostKeys {
  readonly functionKey: string;
  readonly masterKey: string;
}

/** True when the request's key opens this level. The header wins over the query, as on Azure. */
export function isAuthorized(
  level: AuthorizationLevel,
  header: string | undefined,
  query: string | undefined,
  keys: HostKeys,
): boolean {
  const shown = header ?? query;
  switch (level) {
    case "anonymous":
      return true;
    case "function":
      return shown !== undefined && (equal(shown, keys.functionKey) || equal(shown, keys.masterKey));
    case "admin":
      return shown !== undefined && equal(shown, keys.masterKey);
  }
}

/**
 * The key of one extension's webhooks. It is derived from the master key, so it stays the same, and opens nothing else.
 */
export function systemKey(extension: string, keys: HostKeys): string {
  return createHmac("sha256", keys.masterKey).update(extension).digest("base64url");
}

/** True when the request's key opens this extension's webhooks. */
export function opensExtension(shown: string | undefined, extension: string, keys: HostKeys): boolean {
  return shown !== undefined && (equal(shown, systemKey(extension, keys)) || equal(shown, keys.masterKey));
}

/** Compares digests, so neither time nor length reveals anything about the key. */
function equal(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return right !== "" && timingSafeEqual(digest(left), digest(right));
}
