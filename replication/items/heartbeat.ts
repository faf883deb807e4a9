import { readProgress } from "../apply/progress.ts";
import { LeewardError } from "../errors.ts";
import { CALLER_ID_MAX_LENGTH, HEARTBEAT_MS } from "../limits.ts";
import type { CacheAccess, ItemStores } from "../ports.ts";
import type { ItemContext } from "./context.ts";
import type { HeartbeatRecord, Progress } from "./item.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "./mobility-protocol.ts";
import { HEARTBEAT_RECORD } from "./names.ts";
import { decodeRecord, encodeRecord } from "./records.ts";
import { requireCount, requireField, requirePosition, requireTime } from "./request-rules.ts";
import { authenticateService } from "./tokens.ts";

/** Heartbeats also need the right to grant uploads; the caller may cache grants. */
export interface HeartbeatContext extends ItemContext {
  readonly access: CacheAccess;
}

/**
 * Records the word of the item's mobility service and grants it the next uploads (rule 8: create only, this item's container only). The grant is
 * made last, and goes into the answer alone. Errors: `item-unknown`, `not-authorized`, `invalid-request`.
 */
export async function recordHeartbeat(
  context: HeartbeatContext,
  itemId: string,
  itemToken: string,
  request: HeartbeatRequest,
): Promise<HeartbeatAnswer> {
  const item = await authenticateService(context.stores, itemId, itemToken);
  requireHeartbeat(request);
  const record: HeartbeatRecord = {
    version: 1,
    receivedMs: context.clock.now(),
    sentMs: request.sentMs,
    bootId: request.bootId,
    uploaded: request.uploaded,
    currentAtMs: request.currentAtMs,
    pendingBytes: request.pendingBytes,
    seeding: request.seeding,
  };
  await context.stores.records(itemId).put(HEARTBEAT_RECORD, encodeRecord(record));
  const { applied } = await requireProgress(context.stores, itemId);
  const upload = await context.access.grantCreate(itemId);
  return { stream: item.stream, upload, applied, intervalMs: HEARTBEAT_MS };
}

/** Undefined before the first heartbeat. Errors: `record-corrupt`. */
export async function readHeartbeat(stores: ItemStores, itemId: string): Promise<HeartbeatRecord | undefined> {
  const stored = await stores.records(itemId).read(HEARTBEAT_RECORD);
  return stored === undefined ? undefined : decodeRecord<HeartbeatRecord>(HEARTBEAT_RECORD, 1, stored.bytes);
}

/** The progress of an item that exists, and therefore has one. Errors: `record-corrupt`. */
export async function requireProgress(stores: ItemStores, itemId: string): Promise<Progress> {
  const stored = await readProgress(stores.records(itemId));
  if (stored === undefined) throw new LeewardError("record-corrupt", "The progress record of the item is gone.", { itemId });
  return stored.progress;
}

function requireHeartbeat(request: HeartbeatRequest): void {
  const { bootId, seeding } = request;
  requireField(bootId.length >= 1 && bootId.length <= CALLER_ID_MAX_LENGTH, "bootId", `1 to ${CALLER_ID_MAX_LENGTH} characters`);
  requirePosition(request.uploaded, "uploaded");
  requireTime(request.sentMs, "sentMs");
  requireCount(request.pendingBytes, "pendingBytes");
  if (request.currentAtMs !== undefined) requireTime(request.currentAtMs, "currentAtMs");
  if (seeding === undefined) return;
  requireCount(seeding.doneBytes, "seeding.doneBytes");
  requireCount(seeding.totalBytes, "seeding.totalBytes");
}
