import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { AuthorizationLevel } from "./routes.ts";

/** The host's keys: `functionKey` opens functions of level `function`, `masterKey` everything. */
export interface HostKeys {
  readonly functionKey: string;
  readonly masterKey: string;
}

/** True when the key that a request shows opens this level. The header wins over the query, as on Azure. */
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
 * The key of the webhooks of one extension. It is made from the master key, so that it stays the same, and opens
 * nothing else.
 */
export function systemKey(extension: string, keys: HostKeys): string {
  return createHmac("sha256", keys.masterKey).update(extension).digest("base64url");
}

/** True when the key that a request shows opens the webhooks of this extension. */
export function opensExtension(shown: string | undefined, extension: string, keys: HostKeys): boolean {
  return shown !== undefined && (equal(shown, systemKey(extension, keys)) || equal(shown, keys.masterKey));
}

/** Compares digests, so that neither the time nor the length tells anything about the key. */
function equal(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return right !== "" && timingSafeEqual(digest(left), digest(right));
}
