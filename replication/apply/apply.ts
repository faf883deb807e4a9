import { forEachConcurrently } from "../concurrency.ts";
import { LeewardError, invariant } from "../errors.ts";
import { SOURCE_CLOCK_AHEAD_MAX_MS } from "../limits.ts";
import { deltaName } from "../names.ts";
import { samePosition, type Position } from "../position.ts";
import type { Batch } from "./batch.ts";
import { whileBusy } from "./busy.ts";
import { targetDisks, type Claim, type ProgressChanges } from "./claim.ts";
import type { HeldDelta } from "./held-frames.ts";
import { BATCH_WRITE_MAX_MS, BUSY_MAX_MS } from "./limits.ts";
import { pageWrites } from "./page-bytes.ts";
import { planPages, type PageOperation } from "./plan.ts";

/**
 * Steps e to g of applying (docs/architecture.md) for one batch, all of which is in the journal. A crash at any await
 * leaves a state that the next worker completes:
 * - before e only the journal has changed, and it holds only what the cache holds too;
 * - between e and g the disks are torn, `intent` says so, and the journal has everything up to it;
 * - after g the disks are at `applied`, and the journal has what the cache loses.
 *
 * A page write that the store was too busy for is sent again in the same generation (rule 3 allows that for no other
 * failure). The store says that it did nothing. If the first request lands all the same, it is harmless: requests of a
 * batch do not overlap, so until the batch ends it can only write bytes that are already there or about to be. Such a
 * batch ends with a new generation, set together with `applied` and raised on every disk before the next page write or
 * snapshot; from then on the late request is fenced. Errors: `fenced`, `outcome-unknown` (claim again), and those that
 * stop the item, see `readBatch`.
 */
export async function applyBatch(claim: Claim, batch: Batch): Promise<void> {
  const { applied, appliedSourceMs } = claim.progress();
  await recordIntent(claim, batch.last.end);
  const operations = planPages(batch.deltas.map((delta) => delta.extents));
  const refusals = await writePages(claim, operations, batch);
  const { header, end } = batch.last;
  // Step g. All writes of the batch succeeded, so the disks are at its end: rule 1 from here on. The source times of a
  // stream never decrease, except after one that no clock can have shown: it would hide all later ones.
  const wasRead = appliedSourceMs - claim.open.context.clock.now() <= SOURCE_CLOCK_AHEAD_MAX_MS;
  const ended: ProgressChanges = {
    applied: end,
    intent: end,
    seeding: header.flags.seeding,
    consistency: header.flags.consistency,
    groupMark: header.flags.groupMark,
    final: header.flags.final,
    appliedSourceMs: wasRead ? Math.max(appliedSourceMs, header.lastWriteMs) : header.lastWriteMs,
  };
  if (refusals === 0) await claim.change(ended);
  else await claim.changeAnew(ended);
  logBatch(claim, applied, batch, operations, refusals);
  await removeFromCache(claim, batch.deltas);
}

/** Step e: from here on the next worker must reach this position before the disks mean anything. */
async function recordIntent(claim: Claim, end: Position): Promise<void> {
  const { intent } = claim.progress();
  // If an earlier worker began the batch, its intent is recorded already; our own claim has raised the fence since.
  if (samePosition(intent, end)) return claim.keep();
  await claim.change({ intent: end });
}

/**
 * Step f; returns how many requests the store refused because it was busy. Requests of one batch never overlap, so
 * their order does not matter; each carries the generation, so none lands after a newer claim. When one fails,
 * `forEachConcurrently` waits for all others: when we claim again, no request of ours is unanswered, except the one
 * that the new generation fences.
 */
async function writePages(claim: Claim, operations: readonly PageOperation[], batch: Batch): Promise<number> {
  const { open, generation } = claim;
  const { clock, timer, stores } = open.context;
  const disks = targetDisks(open);
  const endMs = clock.now() + BATCH_WRITE_MAX_MS;
  let takenMs = clock.now();
  let refusals = 0;
  await forEachConcurrently(
    open.bounds.pageWritesInFlight,
    pageWrites(operations, batch.deltas),
    async ({ operation, bytes }) => {
      const disk = disks[operation.disk];
      invariant(disk !== undefined, "a delta has the disks of its item", { disk: operation.disk });
      await whileBusy(open.context, {
        before: async () => {
          const waitMs = open.paceOf(disk.diskId)(clock.now(), bytes?.length ?? 0);
          if (waitMs > 0) await timer.pause(waitMs);
          await claim.keep();
        },
        send: () =>
          bytes === undefined
            ? stores.disks.clearPages(disk, operation.offsetBytes, operation.lengthBytes, generation)
            : stores.disks.writePages(disk, operation.offsetBytes, bytes, generation),
        // As long as some of the batch's requests get through, however few, starting over would only lose that work.
        untilMs: () => Math.min(endMs, takenMs + BUSY_MAX_MS),
        refused: () => {
          refusals += 1;
        },
      });
      takenMs = clock.now();
    },
  );
  return refusals;
}

/**
 * The deltas are in the journal and recorded as progress: the cache may lose them (rule 4). A removal that fails or
 * lands late is harmless: deltas at or before `applied` are never read again, and the sweep removes leftovers. After
 * the first failure it gets the rest as well, so that a cache which does not answer costs one time-out.
 */
async function removeFromCache(claim: Claim, deltas: readonly HeldDelta[]): Promise<void> {
  const { open, generation } = claim;
  try {
    await forEachConcurrently(open.bounds.pageWritesInFlight, deltas, async ({ end }) => {
      await open.cache.remove(deltaName(end.stream, end.epoch));
    });
  } catch (error) {
    if (!(error instanceof LeewardError)) throw error;
    open.context.log({
      kind: "deltas-left-in-cache",
      itemId: open.item.itemId,
      generation,
      code: error.code,
      message: error.message,
    });
  }
}

function logBatch(
  claim: Claim,
  from: Position,
  batch: Batch,
  operations: readonly PageOperation[],
  refusals: number,
): void {
  const puts = operations.filter((operation) => operation.kind === "put");
  claim.open.context.log({
    kind: "batch-applied",
    itemId: claim.open.item.itemId,
    generation: claim.generation,
    fromEpoch: from.epoch,
    toEpoch: batch.last.end.epoch,
    lengthBytes: batch.lengthBytes,
    putPages: puts.length,
    clearPages: operations.length - puts.length,
    plainBytes: puts.reduce((sum, put) => sum + put.lengthBytes, 0),
    refusals,
  });
}
