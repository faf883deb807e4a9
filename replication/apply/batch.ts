import { type Begin, withConcurrency } from "../concurrency.ts";
import type { DeltaFlags } from "../delta/delta.ts";
import { LeewardError, hasCode } from "../errors.ts";
import { DELTA_MAX_BYTES, FRAMES_HELD_MAX_BYTES } from "../limits.ts";
import type { Position } from "../position.ts";
import { isBoundary } from "../records/progress.ts";
import type { Claim } from "./claim.ts";
import type { HeldDelta } from "./held-frames.ts";
import { putIntoJournal } from "./journal.ts";
import { SMALL_FRAMES_HELD_MAX_BYTES } from "./limits.ts";
import { UNUSABLE, nextDelta } from "./next-delta.ts";

/**
 * At least one delta, checked and in the order of the position chain; all of them are in the journal. A large batch
 * takes at most BATCH_MAX_BYTES plus one delta, and FRAMES_HELD_MAX_BYTES of decoded frames; for a small one the bounds
 * are SMALL_BATCH_MAX_BYTES and SMALL_FRAMES_HELD_MAX_BYTES.
 */
export interface Batch {
  readonly deltas: readonly HeldDelta[];
  readonly last: HeldDelta;
  readonly lengthBytes: number;
  /** A small batch that ended because it was full, or because the next delta does not fit a small one. */
  readonly wasCut: boolean;
}

export type NextBatch =
  | { readonly kind: "batch"; readonly batch: Batch }
  /** The next batch must be large. */
  | { readonly kind: "large" }
  | { readonly kind: "nothing"; readonly cacheFailure: LeewardError | undefined };

/**
 * Steps c and d of applying (docs/architecture.md): reads the next deltas of the chain, only after the fence is up, and
 * puts each into the journal at once, which changes nothing until `intent` names them (step e). The batch ends at its
 * bounds, after every delta at which a recovery point may be wanted, before a delta that begins to fill the disks, and
 * before one that cannot be applied. If `intent` lies beyond `applied`, an earlier worker may have written any part of
 * that batch to the disks, and its last write may have landed just before the fence. Only a batch that reaches at least
 * `intent` then leaves the disks at one position (rule 1), so nothing ends it earlier, and it is large. Errors that
 * stop the item (rule 5), when no good delta comes first: those of UNUSABLE, and `position-gap` inside a batch that was
 * begun.
 */
export async function readBatch(claim: Claim, journalAhead: boolean, large: boolean): Promise<NextBatch> {
  const { open } = claim;
  // Nothing follows the final delta of a stream, whatever lies in the cache.
  if (claim.progress().final) return { kind: "nothing", cacheFailure: undefined };
  if (!large && !isBoundary(claim.progress())) return { kind: "large" };
  const read = await withConcurrency(open.bounds.pageWritesInFlight, async (begin) =>
    collect(claim, { journalAhead, large }, begin),
  );
  const { bad, cacheFailure } = read;
  const good = bad === undefined ? read.deltas : read.deltas.filter(({ end }) => end.epoch < bad.epoch);
  const last = good.at(-1);
  if (bad !== undefined && (last === undefined || last.end.epoch < claim.progress().intent.epoch)) throw bad.error;
  if (last === undefined) return read.cut ? { kind: "large" } : { kind: "nothing", cacheFailure };
  const lengthBytes = good.reduce((sum, each) => sum + each.lengthBytes, 0);
  return { kind: "batch", batch: { deltas: good, last, lengthBytes, wasCut: read.cut } };
}

interface Collected {
  readonly deltas: HeldDelta[];
  /** The first epoch that cannot be applied, and why: settled when all journalling is. */
  bad: { readonly epoch: number; readonly error: LeewardError } | undefined;
  cacheFailure: LeewardError | undefined;
  /** A large batch would continue here. */
  cut: boolean;
}

interface Kind {
  readonly journalAhead: boolean;
  readonly large: boolean;
}

async function collect(claim: Claim, { journalAhead, large }: Kind, begin: Begin): Promise<Collected> {
  const { open } = claim;
  const { applied, intent } = claim.progress();
  const collected: Collected = { deltas: [], bad: undefined, cacheFailure: undefined, cut: false };
  const { deltas } = collected;
  const room = { leftBytes: large ? FRAMES_HELD_MAX_BYTES : SMALL_FRAMES_HELD_MAX_BYTES };
  const maxBytes = large ? DELTA_MAX_BYTES : open.bounds.smallBatchMaxBytes;
  let journalling: (() => Promise<void>)[] = [];
  let previous = applied;
  let { seeding } = claim.progress();
  let ended = false;
  let lengthBytes = 0;
  let extents = 0;
  const failed = (epoch: number, error: unknown): void => {
    if (!hasCode(error, ...UNUSABLE)) throw error;
    if (collected.bad === undefined || epoch < collected.bad.epoch) collected.bad = { epoch, error };
  };
  const full = (): boolean =>
    deltas.length >= open.bounds.batchMaxDeltas ||
    lengthBytes >= open.bounds.batchMaxBytes ||
    extents >= open.bounds.batchMaxExtents;

  while (collected.bad === undefined && (previous.epoch < intent.epoch || !(ended || full()))) {
    if (!large && lengthBytes >= maxBytes) {
      collected.cut = true;
      break;
    }
    await claim.keep();
    const start = previous;
    const epoch = start.epoch + 1;
    const reading = { journalAhead, maxBytes, room };
    const found = await nextDelta(open, claim.progress(), start, reading).catch((error: unknown) =>
      failed(epoch, error),
    );
    if (found === undefined) break;
    if (found.kind === "large") {
      collected.cut = true;
      break;
    }
    if (found.kind === "missing") {
      if (epoch <= intent.epoch) throw found.cacheFailure ?? missing(epoch, intent);
      collected.cacheFailure = found.cacheFailure;
      break;
    }
    const { delta, bytes, place } = found;
    const intended = epoch <= intent.epoch;
    // A filling begins: the deltas read so far end at the last state before it, of which a point can be taken.
    if (!intended && deltas.length > 0 && delta.header.flags.seeding && !seeding) break;
    if (place === "cache") {
      journalling.push(() =>
        putIntoJournal(claim, start, delta, bytes, intended).catch((error: unknown) => failed(epoch, error)),
      );
    }
    // For a batch that was begun, the journal does not change until the chain has met the intent.
    if (epoch >= intent.epoch) {
      for (const put of journalling) await begin(put);
      journalling = [];
    }
    deltas.push(delta);
    ended = endsBatch(delta.header.flags, seeding);
    seeding = delta.header.flags.seeding;
    previous = delta.end;
    lengthBytes += bytes.length;
    extents += delta.extents.length;
  }
  return collected;
}

/** True after a delta at whose end a recovery point may be wanted. */
function endsBatch(flags: DeltaFlags, seedingBefore: boolean): boolean {
  return flags.final || flags.groupMark || flags.consistency !== "crash" || (seedingBefore && !flags.seeding);
}

/** Rule 4 puts a delta into the journal before it becomes intent, so only an outside deletion can cause this. */
function missing(epoch: number, intent: Position): LeewardError {
  return new LeewardError(
    "position-gap",
    "A delta of the batch that was begun is neither in the journal nor in the cache.",
    {
      epoch,
      intent: intent.epoch,
    },
  );
}
