import type { DeltaFlags } from "../delta/delta.ts";
import { LeewardError } from "../errors.ts";
import { FRAMES_HELD_MAX_BYTES } from "../limits.ts";
import { samePosition } from "../position.ts";
import type { Position } from "../position.ts";
import { checkDelta, fork } from "./check-delta.ts";
import type { Claim } from "./claim.ts";
import type { HeldDelta } from "./held-frames.ts";
import { putIntoJournal } from "./journal.ts";
import { withLanes } from "./lanes.ts";
import { readNextDelta } from "./read-delta.ts";

/**
 * At least one delta, checked and in the order of the position chain; all of them are in the journal. In memory it is at most BATCH_MAX_BYTES and one delta
 * more, and FRAMES_HELD_MAX_BYTES of decoded frames.
 */
export interface Batch {
  readonly deltas: readonly HeldDelta[];
  readonly last: HeldDelta;
  readonly lengthBytes: number;
}

export type NextBatch =
  | { readonly kind: "batch"; readonly batch: Batch }
  | { readonly kind: "nothing"; readonly cacheFailure: LeewardError | undefined };

/**
 * Steps c and d of DESIGN 6: the next deltas of the chain, read only after the fence stands, and put into the journal one by one as they come, which changes
 * nothing until `intent` names them (step e). The batch ends at its bounds and at every delta after which a recovery point may be wanted. If `intent` lies
 * beyond `applied`, an earlier worker may have written any part of that batch to the disks, and a write of its own may have landed as late as the
 * fence: only a batch that reaches at least `intent` leaves the disks at one position (rule 1), so no bound ends it before.
 * Errors that stop the item (rule 5): `delta-corrupt`, `delta-unsupported`, `delta-too-large`, `delta-foreign`, `position-fork`, `position-gap`.
 */
export async function readBatch(claim: Claim, journalAhead: boolean): Promise<NextBatch> {
  const { open } = claim;
  // Nothing follows the final delta of a stream, whatever lies in the cache.
  if (claim.progress().final) return { kind: "nothing", cacheFailure: undefined };
  return withLanes(open.bounds.pageWritesInFlight, async (begin) => {
    const { applied, intent } = claim.progress();
    const deltas: HeldDelta[] = [];
    const room = { leftBytes: FRAMES_HELD_MAX_BYTES };
    let previous = applied;
    let { seeding } = claim.progress();
    let ended = false;
    let lengthBytes = 0;
    let extents = 0;
    let cacheFailure: LeewardError | undefined;
    const full = (): boolean =>
      deltas.length >= open.bounds.batchMaxDeltas || lengthBytes >= open.bounds.batchMaxBytes || extents >= open.bounds.batchMaxExtents;

    while (previous.epoch < intent.epoch || !(ended || full())) {
      await claim.keep();
      const epoch = previous.epoch + 1;
      const found = await readNextDelta(open, claim.progress(), epoch, journalAhead ? "everywhere" : "cache-beyond-intent");
      if (found.kind === "missing") {
        if (epoch <= intent.epoch) throw found.cacheFailure ?? missing(epoch, intent);
        cacheFailure = found.cacheFailure;
        break;
      }
      const start = previous;
      const delta = checkDelta(open, start, found.bytes, found.place, room);
      if (epoch === intent.epoch && !samePosition(delta.end, intent)) {
        throw fork("The journal does not lead to the intent of the progress record.", intent, delta.end, found.place);
      }
      if (found.place === "cache") await begin(() => putIntoJournal(claim, start, delta, found.bytes));
      deltas.push(delta);
      ended = endsBatch(delta.header.flags, seeding);
      seeding = delta.header.flags.seeding;
      previous = delta.end;
      lengthBytes += found.bytes.length;
      extents += delta.extents.length;
    }
    const last = deltas.at(-1);
    return last === undefined ? { kind: "nothing", cacheFailure } : { kind: "batch", batch: { deltas, last, lengthBytes } };
  });
}

/** True after a delta at whose end a recovery point may be wanted. */
function endsBatch(flags: DeltaFlags, seedingBefore: boolean): boolean {
  return flags.final || flags.groupMark || flags.consistency !== "crash" || (seedingBefore && !flags.seeding);
}

/** Rule 4 puts a delta into the journal before it becomes intent, so this takes a deletion by someone else. */
function missing(epoch: number, intent: Position): LeewardError {
  return new LeewardError("position-gap", "A delta of the batch that was begun is neither in the journal nor in the cache.", {
    epoch,
    intent: intent.epoch,
  });
}
