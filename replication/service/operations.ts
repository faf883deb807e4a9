import { createHash } from "node:crypto";
import { CALLER_ID_MAX_LENGTH, OPERATIONS_MAX_COUNT } from "../limits.ts";
import type { ProtectedItem } from "../records/item.ts";
import { requireField } from "../records/request-rules.ts";

/**
 * The id of an operation, 32 hex digits: the same request for the same item always gives the same id. Errors:
 * `invalid-request`.
 */
export function operationIdOf(kind: "repair" | "app-point", itemId: string, requestId: string): string {
  const field = "x-ms-client-request-id";
  requireField(
    requestId.length >= 1 && requestId.length <= CALLER_ID_MAX_LENGTH,
    field,
    `1 to ${CALLER_ID_MAX_LENGTH} characters`,
  );
  return createHash("sha256").update(`leeward-${kind}-1\n${itemId}\n${requestId}`, "utf8").digest("hex").slice(0, 32);
}

export function isKnownOperation(item: ProtectedItem, id: string): boolean {
  return item.operations?.includes(id) ?? false;
}

/** Appends an operation to the list; beyond OPERATIONS_MAX_COUNT the oldest is dropped. */
export function withOperation(item: ProtectedItem, id: string): readonly string[] {
  return [...(item.operations ?? []), id].slice(-OPERATIONS_MAX_COUNT);
}
