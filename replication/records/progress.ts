import { type LeewardError, invariant } from "../errors.ts";
import { CLAIM_HELD_MAX_MS } from "../limits.ts";
import { PROGRESS_RECORD } from "../names.ts";
import type { RecordStore } from "../ports.ts";
import { type Position, samePosition } from "../position.ts";
import type { Progress, ProtectedItem, StopReason } from "./item.ts";
import { type RecordAt, type RecordKind, decodeBody, recordAt } from "./record.ts";
import { startOf } from "./streams.ts";

const PROGRESS: RecordKind<Progress> = {
  name: PROGRESS_RECORD,
  version: 1,
  fault: ({ applied, intent, stream }) =>
    applied.epoch > intent.epoch || applied.stream !== stream ? "contradicts itself" : undefined,
};

/** `progress.json`. Workers change it through `replaceProgress`, which checks the rules for every step. */
export const progressRecord = (records: RecordStore): RecordAt<Progress> => recordAt(records, PROGRESS);

/** The progress record as of `etag`. */
export interface StoredProgress {
  readonly progress: Progress;
  readonly etag: string;
}

/**
 * The progress of a fresh stream: nothing applied, no holder, and its disks are not yet an image of anything. Errors:
 * `stream-closed`.
 */
export function initialProgress(item: Pick<ProtectedItem, "itemId" | "stream" | "disks" | "nonce">): Progress {
  return emptyProgress(startOf(item));
}

/** Nothing is applied after this position. */
export function emptyProgress(start: Position): Progress {
  return {
    version: 1,
    stream: start.stream,
    generation: 0,
    holder: undefined,
    expiresMs: 0,
    applied: start,
    intent: start,
    seeding: true,
    appliedSourceMs: 0,
    consistency: "crash",
    groupMark: false,
    final: false,
    lastPoint: undefined,
    stopped: undefined,
  };
}

/** Undefined if the item has no progress yet. Errors: `record-corrupt` (rule 6), and those of the port. */
export async function readProgress(records: RecordStore): Promise<StoredProgress | undefined> {
  const stored = await progressRecord(records).find();
  return stored && { progress: stored.body, etag: stored.etag };
}

/** Creates the record and returns its etag; undefined if there is one already (then nothing was changed). */
export async function createProgress(records: RecordStore, progress: Progress): Promise<string | undefined> {
  requireWhole(progress);
  return progressRecord(records).create(progress);
}

/** Compare-and-set: the new record, or undefined if it was changed in between. Errors: `outcome-unknown`. */
export async function replaceProgress(
  records: RecordStore,
  stored: StoredProgress,
  next: Progress,
): Promise<StoredProgress | undefined> {
  const before = stored.progress;
  invariant(next.stream === before.stream, "progress stays in its stream");
  invariant(next.generation >= before.generation, "generations only rise", {
    from: before.generation,
    to: next.generation,
  });
  invariant(next.applied.epoch >= before.applied.epoch, "applied never moves back", {
    from: before.applied.epoch,
    to: next.applied.epoch,
  });
  invariant(next.intent.epoch >= before.intent.epoch, "intent never moves back", {
    from: before.intent.epoch,
    to: next.intent.epoch,
  });
  requireWhole(next);
  const etag = await progressRecord(records).replace(next, stored.etag);
  return etag === undefined ? undefined : { progress: next, etag };
}

/** True between batches: the disks hold exactly the position `applied`. Only then can a recovery point be taken. */
export function isBoundary(progress: Progress): boolean {
  return samePosition(progress.applied, progress.intent);
}

/**
 * Whether a worker holds the item, or did a moment ago. A claim with more time left than any claim lasts was made
 * before the clock was set back, and its holder cannot be known: taking it from a living one is safe (rule 3), and
 * waiting until the clock has caught up would be a standstill.
 */
export function isHeld({ holder, expiresMs }: Progress, nowMs: number): boolean {
  return holder !== undefined && expiresMs > nowMs && expiresMs - nowMs <= CLAIM_HELD_MAX_MS;
}

/** What operators see of an error that stops the item. */
export function stopReasonOf({ code, message, hint, facts }: LeewardError, nowMs: number): StopReason {
  return { code, message, hint, facts, atMs: nowMs };
}

function requireWhole(progress: Progress): void {
  invariant(
    progress.applied.stream === progress.stream && progress.intent.stream === progress.stream,
    "positions lie in the stream",
  );
  invariant(progress.applied.epoch <= progress.intent.epoch, "intent does not lie before applied");
}

/** Errors: `record-corrupt`. */
export const decodeProgress = (bytes: Uint8Array): Progress => decodeBody(PROGRESS, bytes);
