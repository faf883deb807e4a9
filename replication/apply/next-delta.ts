import { type LeewardError, hasCode } from "../errors.ts";
import { DELTA_MAX_BYTES } from "../limits.ts";
import { samePosition, type Position } from "../position.ts";
import type { Progress } from "../records/item.ts";
import { isBoundary } from "../records/progress.ts";
import { type DeltaPlace, checkDelta, fork } from "./check-delta.ts";
import type { OpenItem } from "./context.ts";
import type { HeldDelta, HoldingRoom } from "./held-frames.ts";
import { journalledAs } from "./journalled.ts";
import { fromCache, fromJournal } from "./read-delta.ts";

export type NextDelta =
  | { readonly kind: "found"; readonly delta: HeldDelta; readonly bytes: Uint8Array; readonly place: DeltaPlace }
  /** `cacheFailure` is set when the cache could not be reached: the delta may or may not be there. */
  | { readonly kind: "missing"; readonly cacheFailure: LeewardError | undefined }
  /** Longer than the caller's bound, and not too long for a delta. */
  | { readonly kind: "large" };

interface Reading {
  readonly journalAhead: boolean;
  /** Longer files are not read. */
  readonly maxBytes: number;
  readonly room: HoldingRoom;
}

/** Errors for a blob in the place of a delta that cannot be used as one. */
export const UNUSABLE = [
  "delta-corrupt",
  "delta-unsupported",
  "delta-too-large",
  "delta-foreign",
  "position-fork",
] as const;

/**
 * The delta that follows `previous`, whole and in the chain, wherever it lies (rules 5 to 7). Up to `intent` the
 * journal is read first: it has every delta of a batch that was begun, in the target's own region. Beyond it the cache
 * is read, and with `journalAhead` also the journal, for deltas that a worker put there before it died: if the source
 * region is lost meanwhile, that copy is the only one. A delta that is damaged in one of the two may be whole in the
 * other; another history is never taken for a batch that was begun, since its end does not meet the intent. Errors: the
 * first of UNUSABLE, when neither has it whole.
 */
export async function nextDelta(
  open: OpenItem,
  progress: Progress,
  previous: Position,
  { journalAhead, maxBytes, room }: Reading,
): Promise<NextDelta> {
  const epoch = previous.epoch + 1;
  const begun = epoch <= progress.intent.epoch;
  let unusable: LeewardError | undefined;
  let cacheFailure: LeewardError | undefined;
  for (const place of begun ? (["journal", "cache"] as const) : (["cache", "journal"] as const)) {
    if (place === "journal" && !begun && !journalAhead && unusable === undefined) break;
    const freeBytes = room.leftBytes;
    try {
      const read = await (place === "cache"
        ? fromCache(open, progress, epoch, maxBytes)
        : fromJournal(open, progress.stream, epoch, maxBytes));
      if (read instanceof Uint8Array) {
        const delta = checkDelta(open, previous, read, place, room);
        if (epoch === progress.intent.epoch && begun) requireIntent(delta, progress.intent, place);
        return { kind: "found", delta, bytes: read, place };
      }
      cacheFailure ??= read;
    } catch (error) {
      if (!hasCode(error, ...UNUSABLE)) throw error;
      const { lengthBytes } = error.facts;
      if (error.code === "delta-too-large" && typeof lengthBytes === "number" && lengthBytes <= DELTA_MAX_BYTES)
        return { kind: "large" };
      // Its held frames are discarded.
      room.leftBytes = freeBytes;
      unusable ??= error;
    }
  }
  if (unusable !== undefined) throw unusable;
  return { kind: "missing", cacheFailure };
}

/**
 * True when a stop has ended by itself: the next delta of the chain, or all that a batch which was begun still needs,
 * can be read and journalled, so that nothing has to be skipped (rule 5), whatever was in its place before. It checks
 * exactly what a batch needs, so that an item which cannot continue is not claimed for nothing; one delta at a time is
 * in memory.
 */
export async function canGoOn(open: OpenItem, progress: Progress): Promise<boolean> {
  // It may read the largest delta: when the process has no memory for one now, the next check comes soon enough.
  const end = open.largeBatches.tryBegin();
  if (end === undefined) return false;
  const lastEpoch = isBoundary(progress) ? progress.applied.epoch + 1 : progress.intent.epoch;
  let previous = progress.applied;
  try {
    while (previous.epoch < lastEpoch) {
      const next = await nextDelta(open, progress, previous, {
        journalAhead: true,
        maxBytes: DELTA_MAX_BYTES,
        room: { leftBytes: 0 },
      });
      if (next.kind !== "found") return false;
      const { end } = next.delta;
      if (end.epoch > progress.intent.epoch && next.place === "cache") await journalledAs(open, previous, end);
      previous = end;
    }
    return true;
  } catch (error) {
    if (hasCode(error, ...UNUSABLE)) return false;
    throw error;
  } finally {
    end();
  }
}

function requireIntent({ end }: HeldDelta, intent: Position, place: DeltaPlace): void {
  if (!samePosition(end, intent))
    throw fork("This delta does not lead to the intent of the progress record.", intent, end, place);
}
