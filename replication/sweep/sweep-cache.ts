import { sameBytes } from "../delta/bytes.ts";
import { LeewardError, hasCode } from "../errors.ts";
import { DELTA_MAX_BYTES, EPOCH_MAX, GAP_MAX_MS, SWEEP_CACHE_MAX_CHANGES, SWEEP_CACHE_MAX_NAMES } from "../limits.ts";
import { deltaName, journalName, parseDeltaName } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import { pointDue, pointReason } from "../points/point-due.ts";
import { readPointWanted, wantPoint } from "../points/point-wanted.ts";
import type { RecordListing } from "../ports.ts";
import { samePosition } from "../position.ts";
import { readItem } from "../records/item-record.ts";
import type { ProtectedItem, StopReason } from "../records/item.ts";
import {
  isBoundary,
  isHeld,
  readProgress,
  replaceProgress,
  stopReasonOf,
  type StoredProgress,
} from "../records/progress.ts";
import { readHeartbeat } from "../service/heartbeat.ts";
import { speaksOf } from "../service/repair-report.ts";
import { deltaEnd, judgedEtag } from "../service/settle.ts";
import { lookAtJournal, mendJournal } from "./mend-journal.ts";

/** Why a worker should check an item. */
type HintReason =
  /** The next delta is here and no worker has it: its event was lost, or came while a holder was dying. */
  | "next-delta"
  /** A batch was begun and its worker is gone, or could not finish it: what was missing may have arrived. */
  | "batch-begun"
  /** A claim expired without being released. */
  | "holder-gone"
  /** A recovery point is due, and an idle item has no worker to notice. */
  | "point-due";

export interface CacheSweep {
  readonly hints: readonly HintReason[];
  readonly quarantined: number;
  /** Deltas that were applied and journalled, but not yet removed from the cache. */
  readonly removed: number;
  /** Set when this sweep stopped the item. */
  readonly stopped: StopReason | undefined;
  /**
   * The cache account, or one blob in it, was unusable (the source region may be gone, a lease may hold the blob); all
   * else was done.
   */
  readonly cacheFailure: LeewardError | undefined;
  /** More was found than one sweep handles. */
  readonly more: boolean;
}

interface Look {
  readonly context: ItemContext;
  readonly item: ProtectedItem;
  readonly stored: StoredProgress;
  readonly nowMs: number;
}

/** When nothing was read. */
export const NOTHING: CacheSweep = {
  hints: [],
  quarantined: 0,
  removed: 0,
  stopped: undefined,
  cacheFailure: undefined,
  more: false,
};

/**
 * Finds what no event announced (rule 5) and cleans the item's cache container, a bounded page at a time; every call
 * makes progress, because blobs that are no future deltas are moved or removed. The order of the three reads matters: a
 * gap is stopped only if progress has not changed since before the listing, and only blobs of streams that were
 * unannounced after the listing are foreign.
 */
export async function sweepCache(context: ItemContext, itemId: string): Promise<CacheSweep> {
  const stored = await readProgress(context.stores.records(itemId));
  const listed = await listCache(context, itemId, stored?.progress.stream ?? 0);
  const { item } = await readItem(context.stores, itemId);
  if (stored === undefined || stored.progress.stream > item.stream) return NOTHING;
  const look: Look = { context, item, stored, nowMs: context.clock.now() };
  if (stored.progress.stream < item.stream) return sweepClosed(look, listed);
  if (listed instanceof LeewardError) {
    const hints = await targetHints(look);
    const ahead = hints.length === 0 && mayWork(look) && (await inJournal(look, stored.progress.applied.epoch + 1));
    return { ...NOTHING, hints: ahead ? ["next-delta"] : hints, cacheFailure: listed };
  }
  const cleaned = await cleanCache(look, listed);
  const nextHere = (await isNextHere(look, listed)) || (await isRestored(look));
  const hints: HintReason[] = [
    ...(nextHere && mayWork(look) ? (["next-delta"] as const) : []),
    ...(await targetHints(look)),
  ];
  const { failure, ...counts } = cleaned;
  const gap = nextHere || hints.length > 0 ? undefined : await findGap(look, listed);
  // A worker died after putting it there, and the cache's copy has gone since: no event will come for it.
  if (gap === "journalled") return { ...counts, hints: ["next-delta"], stopped: undefined, cacheFailure: failure };
  if (gap !== undefined && (await wantLastState(look)))
    return { ...counts, hints: ["point-due"], stopped: undefined, cacheFailure: failure };
  const stopped = gap === undefined ? undefined : await stopAtGap(look, gap);
  return { ...counts, hints, stopped, cacheFailure: failure };
}

/**
 * The replicated stream is closed, and no other was opened: removes what its source still sent. Nothing waits for a
 * worker.
 */
async function sweepClosed(look: Look, listed: readonly RecordListing[] | LeewardError): Promise<CacheSweep> {
  if (listed instanceof LeewardError) return { ...NOTHING, cacheFailure: listed };
  const closed = listed.filter(({ name }) => (parseDeltaName(name)?.stream ?? 0) < look.item.stream);
  const { failure, ...counts } = await cleanCache(look, closed);
  return { ...NOTHING, ...counts, cacheFailure: failure };
}

/**
 * The missing delta may also be in the journal: a worker may have put it there before the cache's copy was damaged or
 * removed.
 */
async function isRestored(look: Look): Promise<boolean> {
  const { applied, stopped } = look.stored.progress;
  return stopped !== undefined && (await inJournal(look, applied.epoch + 1));
}

/** Applied deltas that could not be removed may fill the whole page before the next one. */
async function isNextHere({ context, item, stored }: Look, listed: readonly RecordListing[]): Promise<boolean> {
  const next = deltaName(item.stream, stored.progress.applied.epoch + 1);
  if (listed.some((entry) => entry.name === next)) return true;
  return (
    listed.length >= SWEEP_CACHE_MAX_NAMES &&
    (await context.stores.cache(item.itemId, item.stream).list(next, 1)).length > 0
  );
}

/** The first names up to the open stream's, and the first after them, so that a backlog hides nothing. */
async function listCache(
  context: ItemContext,
  itemId: string,
  stream: number,
): Promise<readonly RecordListing[] | LeewardError> {
  const cache = context.stores.cache(itemId, stream);
  try {
    const first = await cache.list("", SWEEP_CACHE_MAX_NAMES);
    const last = first.at(-1);
    if (first.length < SWEEP_CACHE_MAX_NAMES || last === undefined) return first;
    const behind = deltaName(stream, EPOCH_MAX);
    const rest = await cache.list("", SWEEP_CACHE_MAX_NAMES, behind > last.name ? behind : last.name);
    return [...first, ...rest];
  } catch (error) {
    if (hasCode(error, "store-unavailable", "store-refused")) return error;
    throw error;
  }
}

/** The hints that the target account alone gives. */
async function targetHints(look: Look): Promise<readonly HintReason[]> {
  const { context, item, stored, nowMs } = look;
  const { progress } = stored;
  if (isHeld(progress, nowMs)) return [];
  if (progress.stopped !== undefined) return isBoundary(progress) ? [] : ["batch-begun"];
  const hints: HintReason[] = [];
  if (!isBoundary(progress)) hints.push("batch-begun");
  if (progress.holder !== undefined) hints.push("holder-gone");
  if (pointReason(item.policy, progress, nowMs) !== undefined) {
    const heartbeat = await readHeartbeat(context.stores, item.itemId);
    if (pointDue({ policy: item.policy, progress, heartbeat, nowMs }).kind === "due") hints.push("point-due");
  }
  return hints;
}

interface Cleaning {
  readonly quarantined: number;
  readonly removed: number;
  readonly more: boolean;
  /**
   * The first failure. A blob that cannot be moved (a lease or a legal hold keeps it) must not block the rest of the
   * sweep.
   */
  readonly failure: LeewardError | undefined;
}

async function cleanCache(look: Look, listed: readonly RecordListing[]): Promise<Cleaning> {
  const count = { quarantine: 0, remove: 0, leave: 0 };
  let failure: LeewardError | undefined;
  let failures = 0;
  const end = (more: boolean): Cleaning => ({ quarantined: count.quarantine, removed: count.remove, more, failure });
  let firstJournalEpoch: number | undefined;
  for (const entry of listed) {
    const first = judge(look, entry);
    if (first.kind === "leave") continue;
    if (count.quarantine + count.remove + failures >= SWEEP_CACHE_MAX_CHANGES) return end(true);
    try {
      if (first.kind === "applied") firstJournalEpoch ??= await firstJournalled(look);
      count[await clean(look, entry.name, first, firstJournalEpoch ?? 0)] += 1;
    } catch (error) {
      if (!hasCode(error, ...OF_ONE_BLOB, ...OF_THE_ACCOUNT)) throw error;
      failure ??= error;
      failures += 1;
      if (hasCode(error, ...OF_THE_ACCOUNT)) return end(false);
    }
  }
  return end(false);
}

const OF_ONE_BLOB = ["conflict", "store-refused"] as const;
/** Trying the next blob would only cost another time-out. */
const OF_THE_ACCOUNT = ["store-unavailable", "store-busy", "outcome-unknown"] as const;

/** Reads what the name alone did not decide, and carries out the verdicts. */
async function clean(
  look: Look,
  name: string,
  first: Verdict,
  firstJournalEpoch: number,
): Promise<"quarantine" | "remove" | "leave"> {
  const { stores } = look.context;
  const { itemId } = look.item;
  const { stream } = look.stored.progress;
  const verdict =
    first.kind === "applied"
      ? await judgeApplied(look, name, first.epoch, firstJournalEpoch)
      : first.kind === "too-large"
        ? await judgeTooLarge(look, name, first.reason)
        : first;
  if (verdict.kind === "quarantine") await stores.quarantine(itemId, stream, name, verdict.reason, verdict.etag);
  else if (verdict.kind === "remove") await stores.cache(itemId, stream).remove(name);
  else return "leave";
  return verdict.kind;
}

type Verdict =
  | { readonly kind: "leave" }
  | { readonly kind: "remove" }
  /** With the etag of what was read, where the name alone did not decide. */
  | { readonly kind: "quarantine"; readonly reason: string; readonly etag?: string | undefined }
  /** Has the name of a delta: settling may have replaced it since the listing. */
  | { readonly kind: "too-large"; readonly reason: string }
  /** At or before the applied position: its journal entry decides. */
  | { readonly kind: "applied"; readonly epoch: number };

/** Judges a blob by its name and length. */
function judge({ item, stored, nowMs }: Look, entry: RecordListing): Verdict {
  const name = parseDeltaName(entry.name);
  if (name === undefined || name.epoch === 0)
    return { kind: "quarantine", reason: "delta-foreign: this is not the name of a delta" };
  if (name.stream !== item.stream) {
    const what = name.stream < item.stream ? "closed" : "was never announced";
    return {
      kind: "quarantine",
      reason: `delta-foreign: stream ${name.stream} is ${what}; stream ${item.stream} is open`,
    };
  }
  if (entry.lengthBytes > DELTA_MAX_BYTES) {
    return {
      kind: "too-large",
      reason: `delta-too-large: ${entry.lengthBytes} bytes, a delta has at most ${DELTA_MAX_BYTES}`,
    };
  }
  if (name.epoch > stored.progress.applied.epoch || isHeld(stored.progress, nowMs)) return { kind: "leave" };
  return { kind: "applied", epoch: name.epoch };
}

/**
 * A delta stays in the cache until it is in the journal and recorded as progress (rule 4). One that differs from the
 * journal's entry shows a second history: it is kept as evidence. Where the journal was trimmed, recovery points
 * represent what was applied; where its entry is missing or damaged, the cache's copy replaces it when the chain shows
 * that it was applied.
 */
async function judgeApplied(look: Look, name: string, epoch: number, firstJournalEpoch: number): Promise<Verdict> {
  if (epoch < firstJournalEpoch) return { kind: "remove" };
  const { context, item, stored } = look;
  const cached = await context.stores.cache(item.itemId, item.stream).read(name);
  if (cached === undefined) return { kind: "leave" };
  const journalled = await lookAtJournal(context, item.itemId, item.stream, epoch);
  if (journalled.kind === "whole" && sameBytes(journalled.bytes, cached.bytes)) return { kind: "remove" };
  try {
    const end = deltaEnd(cached.bytes, item.itemId, { stream: item.stream, epoch });
    if (journalled.kind !== "whole") {
      const mended = await mendJournal(context, item.itemId, stored.progress, journalled, { end, bytes: cached.bytes });
      return mended ? { kind: "remove" } : { kind: "leave" };
    }
    if (samePosition(end, journalled.end)) return { kind: "remove" };
    return { kind: "quarantine", reason: "position-fork: another delta of this epoch was applied", etag: cached.etag };
  } catch (error) {
    if (hasCode(error, "delta-corrupt", "delta-unsupported", "delta-foreign")) {
      return { kind: "quarantine", reason: `${error.code}: ${error.message}`, etag: cached.etag };
    }
    throw error;
  }
}

async function judgeTooLarge({ context, item }: Look, name: string, reason: string): Promise<Verdict> {
  try {
    await context.stores.cache(item.itemId, item.stream).read(name, DELTA_MAX_BYTES);
    return { kind: "leave" };
  } catch (error) {
    if (hasCode(error, "delta-too-large")) return { kind: "quarantine", reason, etag: judgedEtag(error) };
    throw error;
  }
}

/** Entries before it were trimmed; after the applied position when nothing up to it is left. */
async function firstJournalled({ context, item, stored }: Look): Promise<number> {
  const prefix = journalName(item.stream, 0).slice(0, -12);
  const [first] = await context.stores.records(item.itemId).list(prefix, 1);
  const epoch = first === undefined ? undefined : parseDeltaName(first.name.slice("journal/".length))?.epoch;
  return epoch ?? stored.progress.applied.epoch + 1;
}

/** The next delta is missing, or only the journal has it. */
type Gap = LeewardError | "journalled";

async function findGap(look: Look, listed: readonly RecordListing[]): Promise<Gap | undefined> {
  const { progress } = look.stored;
  if (progress.stopped !== undefined || isHeld(progress, look.nowMs) || progress.final) return undefined;
  return (await laterWaits(look, listed)) ?? (await uploadedAndGone(look));
}

/**
 * What was applied before a gap first gets a point, as when a worker stops: a stopped item gets none. It is requested
 * once.
 */
async function wantLastState({ context, item, stored, nowMs }: Look): Promise<boolean> {
  const { progress } = stored;
  const records = context.stores.records(item.itemId);
  const wanted = { version: 1, stream: progress.stream, epoch: progress.applied.epoch } as const;
  const heartbeat = await readHeartbeat(context.stores, item.itemId);
  if (pointDue({ policy: item.policy, progress, heartbeat, nowMs, wanted }).kind === "not-due") return false;
  const asked = await readPointWanted(records);
  if (asked?.stream === wanted.stream && asked.epoch === wanted.epoch) return false;
  await wantPoint(records, wanted);
  return true;
}

/** Stops the item, so that silence is not mistaken for health (rule 5). */
async function stopAtGap({ context, item, stored, nowMs }: Look, gap: LeewardError): Promise<StopReason | undefined> {
  const reason = stopReasonOf(gap, nowMs);
  const after = await replaceProgress(context.stores.records(item.itemId), stored, {
    ...stored.progress,
    holder: undefined,
    expiresMs: 0,
    stopped: reason,
  });
  return after === undefined ? undefined : reason;
}

/** A later delta has waited too long for the next one. */
async function laterWaits(look: Look, listed: readonly RecordListing[]): Promise<Gap | undefined> {
  const { item, stored, nowMs } = look;
  const expected = stored.progress.applied.epoch + 1;
  const waiting = listed.flatMap((entry) => {
    const name = parseDeltaName(entry.name);
    return name?.stream === item.stream && name.epoch > expected
      ? [{ epoch: name.epoch, sinceMs: entry.createdMs }]
      : [];
  });
  const longest = waiting.toSorted((left, right) => left.sinceMs - right.sinceMs)[0];
  if (longest === undefined || nowMs - longest.sinceMs <= GAP_MAX_MS) return undefined;
  if (await inJournal(look, expected)) return "journalled";
  return new LeewardError("position-gap", `Epoch ${longest.epoch} is here, but epoch ${expected} has not come.`, {
    stream: item.stream,
    expected,
    found: longest.epoch,
    waitingMs: nowMs - longest.sinceMs,
  });
}

/**
 * The service says that the cache has accepted the next delta, yet it is nowhere any more. No later one need ever come:
 * the machine may be idle. The order of the reads allows no other explanation: a delta leaves the cache only after it
 * is in the journal, and the journal only after progress has changed.
 */
async function uploadedAndGone(look: Look): Promise<Gap | undefined> {
  const { context, item, stored } = look;
  const expected = stored.progress.applied.epoch + 1;
  const heartbeat = await readHeartbeat(context.stores, item.itemId);
  if (heartbeat === undefined || !speaksOf(heartbeat, item) || heartbeat.uploaded.epoch < expected) return undefined;
  const name = deltaName(item.stream, expected);
  const [first] = await context.stores.cache(item.itemId, item.stream).list(name, 1);
  if (first?.name === name) return undefined;
  if (await inJournal(look, expected)) return "journalled";
  const facts = { stream: item.stream, expected, uploaded: heartbeat.uploaded.epoch };
  return new LeewardError(
    "position-gap",
    `Epoch ${expected} was uploaded, and is gone from the cache before it was applied.`,
    facts,
  );
}

async function inJournal({ context, item }: Look, epoch: number): Promise<boolean> {
  return (await context.stores.records(item.itemId).list(journalName(item.stream, epoch), 1)).length > 0;
}

/**
 * A stop ends when the missing delta is there: a worker finds that out before it claims anything. In the middle of a
 * batch `batch-begun` wakes it.
 */
function mayWork({ stored: { progress }, nowMs }: Look): boolean {
  return !isHeld(progress, nowMs) && (progress.stopped === undefined || isBoundary(progress));
}
