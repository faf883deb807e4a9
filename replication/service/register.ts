import { LeewardError } from "../errors.ts";
import { CALLER_ID_MAX_LENGTH } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import { changeItem } from "../records/item-record.ts";
import type { ProtectedItem, OpenStream } from "../records/item.ts";
import { isChecksum, orderedDisks, requireField, sameDisks } from "../records/request-rules.ts";
import { openStream } from "../records/streams.ts";
import type { RegisterRequest } from "./protocol.ts";
import { requireMachine } from "./session.ts";
import { matchesHash, tokenHash } from "./tokens.ts";

/**
 * Makes the calling mobility service that of this item. The compare-and-set that stores the hash of the item token
 * consumes the registration token; the same item token again succeeds, so that a lost answer is harmless. Errors:
 * `item-unknown`, `not-authorized`, `invalid-request` (the disks are not those of the item), `machine-mismatch` (the
 * token is known, the machine is another one), `stream-closed`, `conflict`.
 */
export async function registerService(
  context: ItemContext,
  itemId: string,
  request: RegisterRequest,
): Promise<OpenStream> {
  requireField(isChecksum(request.itemToken), "itemToken", "64 lower-case hex digits");
  for (const field of ["machineId", "bootId"] as const) {
    const { length } = request[field];
    requireField(length >= 1 && length <= CALLER_ID_MAX_LENGTH, field, `1 to ${CALLER_ID_MAX_LENGTH} characters`);
  }
  const disks = orderedDisks(request.disks);
  const nowMs = context.clock.now();
  const item = await changeItem(context.stores, itemId, (found) => {
    const registered = registeredWith(found, request, nowMs);
    requireField(
      sameDisks(found.disks, disks),
      "disks",
      "the service serves other disks than the item has; protect and service must name the same ids, sizes and sector sizes",
    );
    return registered;
  });
  return openStream(item);
}

/** A registration token binds the item to the machine that uses it, even if it was bound to another. */
function registeredWith(item: ProtectedItem, request: RegisterRequest, nowMs: number): ProtectedItem {
  const { registrationToken, itemToken, machineId } = request;
  if (matchesHash(registrationToken, item.registrationHash)) {
    const token = {
      tokenHash: tokenHash(itemToken),
      nextTokenHash: undefined,
      tokenSinceMs: nowMs,
      rotateToken: undefined,
    };
    return { ...item, registrationHash: undefined, ...token, machineId };
  }
  if (matchesHash(itemToken, item.tokenHash)) {
    requireMachine(item, machineId);
    return item;
  }
  throw new LeewardError(
    "not-authorized",
    "The registration token is wrong or was used already.",
    { itemId: item.itemId },
    { hint: "Ask for a new registration token of this item and start the mobility service with it." },
  );
}
