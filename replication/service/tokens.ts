import { createHash } from "node:crypto";
import { LeewardError } from "../errors.ts";
import { TOKEN_MAX_LENGTH } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import type { Ids } from "../ports.ts";
import { changeItem, readItem } from "../records/item-record.ts";
import type { ProtectedItem } from "../records/item.ts";

/**
 * A secret that is shown once; the catalog keeps only its hash (rule 8). Two ids, so that one weak id does not make it
 * guessable.
 */
export function newToken(ids: Ids): string {
  return `${ids.next()}${ids.next()}`;
}

/** SHA-256 of a token, 64 hex digits. Tokens are long and random, so that no salt is needed. */
export function tokenHash(token: string): string {
  return createHash("sha256").update(token, "utf8").digest("hex");
}

/** True if `token` has this hash. */
export function matchesHash(token: string, hash: string | undefined): boolean {
  if (hash === undefined || token.length > TOKEN_MAX_LENGTH) return false;
  return sameDigits(tokenHash(token), hash);
}

/** Compares every digit, so that the time does not reveal where they differ. */
export function sameDigits(found: string, expected: string): boolean {
  let difference = found.length ^ expected.length;
  for (let at = 0; at < found.length; at += 1) difference |= found.charCodeAt(at) ^ expected.charCodeAt(at);
  return difference === 0;
}

/**
 * The item whose registered mobility service sends this token. The first use of a proposed token ends the previous one.
 * Errors: `item-unknown`, `not-authorized`, `conflict`.
 */
export async function authenticateService(
  { stores, clock }: ItemContext,
  itemId: string,
  itemToken: string,
): Promise<ProtectedItem> {
  const { item } = await readItem(stores, itemId);
  if (matchesHash(itemToken, item.tokenHash)) return item;
  if (matchesHash(itemToken, item.nextTokenHash))
    return changeItem(stores, itemId, (found) => rotated(found, itemToken, clock.now()));
  throw wrongToken(itemId);
}

function rotated(item: ProtectedItem, itemToken: string, nowMs: number): ProtectedItem {
  if (matchesHash(itemToken, item.tokenHash)) return item;
  if (!matchesHash(itemToken, item.nextTokenHash)) throw wrongToken(item.itemId);
  return {
    ...item,
    tokenHash: item.nextTokenHash,
    nextTokenHash: undefined,
    tokenSinceMs: nowMs,
    rotateToken: undefined,
  };
}

function wrongToken(itemId: string): LeewardError {
  return new LeewardError("not-authorized", "The token is not that of the item's registered mobility service.", {
    itemId,
  });
}
