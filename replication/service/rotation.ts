import { TOKEN_MAX_AGE_MS } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import { changeItem } from "../records/item-record.ts";
import type { ProtectedItem } from "../records/item.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "./protocol.ts";

/**
 * The exchange of an item token (docs/mobility-protocol.md, P14 to P17): the answer says `wanted`; the service makes
 * another token, keeps it durably beside the old one and proposes its hash; after the answer `accepted` it uses the new
 * one, and the first use ends the old one (tokens.ts). Either side can be killed at any moment: the service always has
 * a valid token.
 */
export function rotationFor(
  item: ProtectedItem,
  { nextTokenHash }: HeartbeatRequest,
  nowMs: number,
): HeartbeatAnswer["rotation"] {
  if (nextTokenHash !== undefined && nextTokenHash === item.nextTokenHash) return "accepted";
  const old = item.tokenSinceMs !== undefined && nowMs - item.tokenSinceMs >= TOKEN_MAX_AGE_MS;
  return old || item.rotateToken === true ? "wanted" : undefined;
}

/** The item with the token that its service proposes. */
export function withNextToken(item: ProtectedItem, { nextTokenHash }: HeartbeatRequest): ProtectedItem {
  const known = nextTokenHash === undefined || nextTokenHash === item.nextTokenHash || nextTokenHash === item.tokenHash;
  return known ? item : { ...item, nextTokenHash };
}

/** Asks the service to change to another token. Repeating it is harmless. Errors: `item-unknown`, `conflict`. */
export async function requestTokenRotation({ stores }: ItemContext, itemId: string): Promise<void> {
  await changeItem(stores, itemId, (item) => (item.rotateToken === true ? item : { ...item, rotateToken: true }));
}
