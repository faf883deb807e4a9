import { decodeDelta, verifyFrames } from "../delta/decode.ts";
import { LeewardError, hasCode } from "../errors.ts";
import { DELTA_MAX_BYTES, EPOCH_MAX } from "../limits.ts";
import { deltaName, journalName } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import type { RecordStore } from "../ports.ts";
import type { Position } from "../position.ts";
import { isChecksum, requireCount, requireField } from "../records/request-rules.ts";
import { readHeartbeat, requireProgress } from "./heartbeat.ts";
import type { SettleAnswer, SettleRequest } from "./protocol.ts";
import { requireSession } from "./session.ts";
import { authenticateService } from "./tokens.ts";

/**
 * Decides about an epoch that already exists in the cache (rule 4: it counts as uploaded only when this confirms the
 * same checksum). A blob that cannot be a delta of this name is quarantined, and the service sends again: only the
 * holder of the session may cause that. Errors: `item-unknown`, `not-authorized`, `invalid-request`, `session-taken`,
 * `stream-closed` when the item's stream is another one.
 */
export async function settleEpoch(
  context: ItemContext,
  itemId: string,
  itemToken: string,
  request: SettleRequest,
): Promise<SettleAnswer> {
  const item = await authenticateService(context, itemId, itemToken);
  requireCount(request.stream, "stream");
  requireCount(request.epoch, "epoch");
  requireField(request.epoch >= 1 && request.epoch <= EPOCH_MAX, "epoch", `epochs go from 1 to ${EPOCH_MAX}`);
  requireField(isChecksum(request.checksum), "checksum", "64 lower-case hex digits");
  requireSession(await readHeartbeat(context.stores, itemId), request.sessionId);
  if (request.stream !== item.stream) {
    throw new LeewardError("stream-closed", "The delta belongs to another stream than the item's.", {
      itemId,
      stream: request.stream,
      openStream: item.stream,
    });
  }
  const answer = (position: Position): SettleAnswer => ({
    outcome: position.checksum === request.checksum ? "same" : "other",
  });
  const { applied } = await requireProgress(context.stores, itemId);
  if (applied.epoch === request.epoch) return answer(applied);
  // The journal comes first: its entry decided, or will decide, what the target holds.
  const records = context.stores.records(itemId);
  const journalled = await journalledEnd(records, itemId, request);
  if (journalled !== undefined) return answer(journalled);
  const cached = await readCached(context, itemId, request);
  if (cached !== undefined) return answer(cached);
  // The cache no longer has it: either it was just quarantined, or a worker took it between the two reads.
  const moved = await journalledEnd(records, itemId, request);
  return moved === undefined ? { outcome: "again" } : answer(moved);
}

/**
 * Undefined if the journal has no delta of this epoch, or a damaged one: it decides nothing, and the cache's takes
 * precedence.
 */
async function journalledEnd(
  records: RecordStore,
  itemId: string,
  request: SettleRequest,
): Promise<Position | undefined> {
  try {
    const journalled = await records.read(journalName(request.stream, request.epoch));
    return journalled && deltaEnd(journalled.bytes, itemId, request);
  } catch (error) {
    if (hasCode(error, "delta-corrupt", "delta-foreign", "delta-too-large")) return undefined;
    throw error;
  }
}

/**
 * Where a delta of this name ends. Its frames are decoded too: the position covers their plain bytes, and a file with
 * only its tables intact must not pass for the delta (rule 4). Errors: `delta-foreign` when it names another item,
 * stream or epoch, and those of `decodeDelta`.
 */
export function deltaEnd(
  bytes: Uint8Array,
  itemId: string,
  { stream, epoch }: { readonly stream: number; readonly epoch: number },
): Position {
  const delta = decodeDelta(bytes);
  const { header, end } = delta;
  if (header.itemId === itemId && header.stream === stream && header.epoch === epoch) {
    verifyFrames(delta);
    return end;
  }
  throw new LeewardError("delta-foreign", "The delta belongs to another item, stream or epoch than its name says.", {
    itemId,
    stream,
    epoch,
    foundItemId: header.itemId,
    foundStream: header.stream,
    foundEpoch: header.epoch,
  });
}

/**
 * The etag of a blob that was too large to read: only the judged blob may be quarantined, not one that has taken its
 * name since.
 */
export function judgedEtag({ facts: { etag } }: LeewardError): string | undefined {
  return typeof etag === "string" ? etag : undefined;
}

/**
 * The end of the delta in the cache; undefined if there is none, or none that could ever be applied (that one is
 * quarantined).
 */
async function readCached(context: ItemContext, itemId: string, request: SettleRequest): Promise<Position | undefined> {
  const cache: RecordStore = context.stores.cache(itemId, request.stream);
  const name = deltaName(request.stream, request.epoch);
  let etag: string | undefined;
  try {
    const stored = await cache.read(name, DELTA_MAX_BYTES);
    etag = stored?.etag;
    return stored === undefined ? undefined : deltaEnd(stored.bytes, itemId, request);
  } catch (error) {
    if (!hasCode(error, "delta-corrupt", "delta-too-large", "delta-unsupported", "delta-foreign")) throw error;
    await context.stores.quarantine(
      itemId,
      request.stream,
      name,
      `${error.code}: ${error.message}`,
      etag ?? judgedEtag(error),
    );
    return undefined;
  }
}
