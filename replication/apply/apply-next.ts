import { type LeewardError, invariant } from "../errors.ts";
import { applyBatch } from "./apply.ts";
import { type Batch, readBatch } from "./batch.ts";
import type { Claim } from "./claim.ts";
import { LARGE_BATCH_LOOK_MS } from "./limits.ts";
import { takeDuePoint } from "./take-point.ts";

export type Applied =
  /** `wasCut`: a large batch could have continued, or this was one. */
  | { readonly kind: "applied"; readonly wasCut: boolean }
  | { readonly kind: "nothing"; readonly cacheFailure: LeewardError | undefined }
  /** The next batch must be large, and the slice ended before the process had memory for it. */
  | { readonly kind: "no-room" };

/**
 * Steps c to g for the next batch. It is small, unless `wantsLarge` and a large one is allowed at once, or the next
 * deltas need a large one.
 */
export async function applyNext(claim: Claim, journalAhead: boolean, wantsLarge: boolean): Promise<Applied> {
  let end = wantsLarge ? claim.open.largeBatches.tryBegin() : undefined;
  try {
    let next = await readBatch(claim, journalAhead, end !== undefined);
    if (next.kind === "large") {
      end = await waitForLargeBatch(claim);
      if (end === undefined) return { kind: "no-room" };
      next = await readBatch(claim, journalAhead, true);
    }
    invariant(next.kind !== "large", "a large batch holds every delta");
    if (next.kind === "nothing") return next;
    await showLastState(claim, next.batch);
    await applyBatch(claim, next.batch);
    return { kind: "applied", wasCut: next.batch.wasCut || end !== undefined };
  } finally {
    end?.();
  }
}

/** Waits for the right to a large batch and keeps the claim; undefined when the slice ends first. */
async function waitForLargeBatch(claim: Claim): Promise<(() => void) | undefined> {
  const { context, largeBatches } = claim.open;
  for (;;) {
    const end = largeBatches.tryBegin();
    if (end !== undefined || context.clock.now() >= context.deadlineMs) return end;
    await context.timer.pause(LARGE_BATCH_LOOK_MS);
    await claim.keep();
  }
}

/**
 * The disks are about to be filled again, which may take hours: until then their present state is the best one for a
 * failover.
 */
async function showLastState(claim: Claim, { deltas: [first] }: Batch): Promise<void> {
  const { seeding, stream, applied } = claim.progress();
  if (first?.header.flags.seeding === true && !seeding)
    await takeDuePoint(claim, "any", { version: 1, stream, epoch: applied.epoch });
}
