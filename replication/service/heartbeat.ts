import { LeewardError } from "../errors.ts";
import {
  CALLER_ID_MAX_LENGTH,
  HEARTBEAT_LATE_MS,
  HEARTBEAT_MS,
  REPORTED_REASON_MAX_LENGTH,
  SESSION_LEASE_MS,
  SOURCE_CLOCK_AHEAD_MAX_MS,
} from "../limits.ts";
import { HEARTBEAT_RECORD } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import type { CacheAccess, ItemStores } from "../ports.ts";
import { nothing, unlessDamaged } from "../records/damaged.ts";
import { changeItem } from "../records/item-record.ts";
import type { HeartbeatRecord, Progress, ProtectedItem, ServiceSession } from "../records/item.ts";
import { readProgress } from "../records/progress.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import { isChecksum, requireCount, requireField, requirePosition, requireTime } from "../records/request-rules.ts";
import { openStream } from "../records/streams.ts";
import { appPointAfter } from "./app-point.ts";
import { ensureProgress, progressGone } from "./open-stream.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "./protocol.ts";
import { repairReported } from "./repair-report.ts";
import { wantedEpoch } from "./resend.ts";
import { rotationFor, withNextToken } from "./rotation.ts";
import { requireMachine, sessionFor } from "./session.ts";
import { authenticateService } from "./tokens.ts";

/** Heartbeats also need the right to grant uploads; the caller may cache grants. */
export interface HeartbeatContext extends ItemContext {
  readonly access: Pick<CacheAccess, "grantCreate">;
}

/**
 * Records the report of the item's mobility service, renews its session, returns the open stream, and grants uploads to
 * it (rule 8: create only, this stream's container only). The grant is made last and goes only into the answer: without
 * a session there is none. Costs three reads and one write, and one more read and write when something of the item
 * record changes. Errors: `item-unknown`, `not-authorized`, `invalid-request`, `machine-mismatch`, `session-taken`,
 * `position-fork`, `stream-closed`, `conflict`. A refused heartbeat has changed nothing.
 */
export async function recordHeartbeat(
  context: HeartbeatContext,
  itemId: string,
  itemToken: string,
  request: HeartbeatRequest,
): Promise<HeartbeatAnswer> {
  // Before any waiting: the time to answer is not part of the latency from the source.
  const receivedMs = context.clock.now();
  const known = await authenticateService(context, itemId, itemToken);
  requireHeartbeat(request);
  requireMachine(known, request.machineId);
  const opened = openStream(known);
  const progress = await progressOfStream(context.stores, known);
  const { session, appPoint } = await putHeartbeat(context, known, request, progress, receivedMs);
  const item = await reported(context, known, request, progress);
  const upload = await context.access.grantCreate(itemId, known.stream);
  return {
    ...opened,
    upload,
    applied: progress.applied,
    intervalMs: HEARTBEAT_MS,
    nowMs: context.clock.now(),
    session: { sinceMs: session.sinceMs, leaseMs: SESSION_LEASE_MS },
    resend: wantedEpoch(progress),
    consistency:
      appPoint === undefined || appPoint.outcome !== undefined ? undefined : { requestId: appPoint.requestId },
    rotation: rotationFor(item, request, context.clock.now()),
  };
}

/** Undefined before the first heartbeat, and while the record is damaged: the next heartbeat rebuilds it. */
export async function readHeartbeat(stores: ItemStores, itemId: string): Promise<HeartbeatRecord | undefined> {
  return (await unlessDamaged(() => heartbeatRecord(stores, itemId).find(), nothing))?.body;
}

/** True when the record of heartbeats exists but is unreadable. */
export async function isHeartbeatDamaged(stores: ItemStores, itemId: string): Promise<boolean> {
  const found = await heartbeatRecord(stores, itemId).inspect();
  return found !== undefined && "damage" in found;
}

/** Undefined when the record is gone or damaged: for callers that can do without. */
export async function findProgress(stores: ItemStores, itemId: string): Promise<Progress | undefined> {
  return (await unlessDamaged(() => readProgress(stores.records(itemId)), nothing))?.progress;
}

/** The progress of an item that exists, and therefore has one. Errors: `record-corrupt`. */
export async function requireProgress(stores: ItemStores, itemId: string): Promise<Progress> {
  const stored = await readProgress(stores.records(itemId));
  if (stored === undefined) throw progressGone(itemId);
  return stored.progress;
}

/**
 * The progress of the item's open stream. Errors: `record-corrupt`, `conflict` when another stream was opened
 * meanwhile.
 */
async function progressOfStream(stores: ItemStores, item: ProtectedItem): Promise<Progress> {
  const found = await requireProgress(stores, item.itemId);
  if (found.stream === item.stream) return found;
  // Opening it was not finished.
  await ensureProgress(stores, item);
  const progress = await requireProgress(stores, item.itemId);
  if (progress.stream === item.stream) return progress;
  throw new LeewardError("conflict", "Another stream of the item was opened meanwhile.", {
    itemId: item.itemId,
    stream: progress.stream,
  });
}

/** As this version writes it. */
type Recorded = HeartbeatRecord & { readonly session: ServiceSession };

const hasSession = (record: HeartbeatRecord): record is Recorded => record.session !== undefined;

/** After two slow heartbeats in a row the source seems more recent than it is, until the next one. */
function clockOffset(
  stored: HeartbeatRecord | undefined,
  { bootId, sentMs }: HeartbeatRequest,
  receivedMs: number,
): number {
  const offsetMs = receivedMs - sentMs;
  const isNext = stored?.bootId === bootId && receivedMs - stored.receivedMs <= HEARTBEAT_LATE_MS;
  return isNext ? Math.min(offsetMs, stored.receivedMs - stored.sentMs) : offsetMs;
}

/**
 * The session, the last report and the state of app-consistent points change together, by compare-and-set: only one of
 * two services has the session.
 */
async function putHeartbeat(
  { stores, clock, ids }: HeartbeatContext,
  item: ProtectedItem,
  request: HeartbeatRequest,
  progress: Progress,
  receivedMs: number,
): Promise<Recorded> {
  const newId = ids.next();
  return heartbeatRecord(stores, item.itemId).upsert((last): Recorded => {
    const nowMs = clock.now();
    const session = sessionFor(last, request, progress.applied, nowMs);
    // Delayed here: a later heartbeat of the same session takes precedence. One from the future was received before the
    // clock was set back.
    const isHeldUp = last?.session?.id === session.id && last.receivedMs > receivedMs && last.receivedMs <= nowMs;
    if (isHeldUp && hasSession(last) && request.ended !== true) return last;
    return {
      version: 1,
      receivedMs,
      sentMs: request.sentMs,
      clockOffsetMs: clockOffset(last, request, receivedMs),
      clockAheadMs: request.clockAheadMs,
      bootId: request.bootId,
      start: request.start,
      uploaded: request.uploaded,
      // A clock that is far ahead gives no times for recovery points: the next reading might be years earlier.
      currentAtMs: request.sentMs - nowMs > SOURCE_CLOCK_AHEAD_MAX_MS ? undefined : request.currentAtMs,
      pendingBytes: request.pendingBytes,
      seeding: request.seeding,
      session,
      resynchronization: request.resynchronization,
      uploadsStopped: request.uploadsStopped && {
        code: request.uploadsStopped.code,
        message: request.uploadsStopped.message.slice(0, REPORTED_REASON_MAX_LENGTH),
      },
      appPoint: appPointAfter({ item, state: last?.appPoint, request, progress, nowMs, newId }),
    };
  }, nothing);
}

/** What a heartbeat reports for the item record; most report nothing new, and cost nothing. */
async function reported(
  { stores, clock }: HeartbeatContext,
  known: ProtectedItem,
  request: HeartbeatRequest,
  progress: Progress,
): Promise<ProtectedItem> {
  const change = (item: ProtectedItem): ProtectedItem => {
    const after = repairReported(item, request, progress, clock.now());
    // A service that has replaced this one since is not evicted by its proposal.
    return item.tokenHash === known.tokenHash ? withNextToken(after, request) : after;
  };
  return change(known) === known ? known : changeItem(stores, known.itemId, change);
}

/** A damaged record holds only the service's last report, which the service repeats. */
const heartbeatRecord = (stores: ItemStores, itemId: string): RecordAt<HeartbeatRecord> =>
  recordAt<HeartbeatRecord>(stores.records(itemId), { name: HEARTBEAT_RECORD, version: 1 });

function requireHeartbeat(request: HeartbeatRequest): void {
  const { seeding, resynchronization, sealed, nextTokenHash, uploadsStopped } = request;
  for (const field of ["machineId", "bootId", "sessionId"] as const) requireCallerId(request[field], field);
  if (request.start !== undefined) requirePosition(request.start, "start");
  requirePosition(request.uploaded, "uploaded");
  if (sealed !== undefined) requirePosition(sealed, "sealed");
  requireTime(request.sentMs, "sentMs");
  requireCount(request.pendingBytes, "pendingBytes");
  if (request.clockAheadMs !== undefined)
    requireField(Number.isSafeInteger(request.clockAheadMs), "clockAheadMs", "a whole number");
  if (request.currentAtMs !== undefined) {
    requireTime(request.currentAtMs, "currentAtMs");
    requireField(
      request.currentAtMs <= request.sentMs,
      "currentAtMs",
      "not later than sentMs, which the same clock told",
    );
  }
  if (nextTokenHash !== undefined) requireField(isChecksum(nextTokenHash), "nextTokenHash", "64 lower-case hex digits");
  for (const [field, parts] of [
    ["seeding", seeding],
    ["resynchronization", resynchronization],
  ] as const) {
    if (parts === undefined) continue;
    requireCount(parts.doneBytes, `${field}.doneBytes`);
    requireCount(parts.totalBytes, `${field}.totalBytes`);
  }
  if (resynchronization !== undefined) requireCallerId(resynchronization.reason, "resynchronization.reason");
  if (uploadsStopped !== undefined) requireCallerId(uploadsStopped.code, "uploadsStopped.code");
}

function requireCallerId({ length }: string, field: string): void {
  requireField(length >= 1 && length <= CALLER_ID_MAX_LENGTH, field, `1 to ${CALLER_ID_MAX_LENGTH} characters`);
}
