import { LeewardError, hasCode } from "../errors.ts";
import { readPointWanted } from "../points/point-wanted.ts";
import { findItem } from "../records/item-record.ts";
import type { Progress, StopReason } from "../records/item.ts";
import { stopReasonOf } from "../records/progress.ts";
import { applyNext } from "./apply-next.ts";
import { claimItem, type Claim } from "./claim.ts";
import { openItem, type ApplyContext, type OpenItem } from "./context.ts";
import { CLAIM_AGAIN_PAUSE_MS } from "./limits.ts";
import { UNUSABLE } from "./next-delta.ts";
import { watchStream } from "./open-stream.ts";
import { fromCache } from "./read-delta.ts";
import { takeDuePoint } from "./take-point.ts";

export type ApplyOutcome =
  /** Nothing left to do, or no such item: the next wake-up or the sweep returns to it. */
  | { readonly kind: "idle" }
  /** Another run works on the item; if that run is dead, its claim ends at `untilMs` (Unix milliseconds). */
  | { readonly kind: "held"; readonly untilMs: number }
  /** The slice is over and there may be more: continue by message. */
  | { readonly kind: "more" }
  | { readonly kind: "stopped"; readonly reason: StopReason }
  /** A newer worker has taken over; nothing needs to be done. */
  | { readonly kind: "fenced" };

/** What stops the item until it is repaired (rule 5): none of these is ever skipped. */
const STOPPING = [...UNUSABLE, "position-gap"] as const;

/** Claiming a new generation makes these harmless (rule 3). */
const CLAIM_AGAIN = ["outcome-unknown", "conflict"] as const;

/**
 * One slice of work on one item: claims it, applies the next deltas of the chain, takes the points that are due,
 * releases the claim. Safe to call at any time, any number of times, by any number of workers (rules 3, 5 and 10).
 * Errors: `outcome-unknown` after CLAIMS_PER_RUN claims; `store-unavailable` and `store-refused` of either account;
 * `store-busy` from one that takes nothing for BUSY_MAX_MS; `record-corrupt`. The message then goes back to the queue.
 */
export async function applySlice(context: ApplyContext, itemId: string): Promise<ApplyOutcome> {
  const stored = await findItem(context.stores, itemId);
  if (stored === undefined) return { kind: "idle" };
  const open = openItem(context, stored.item);
  let unknown: LeewardError | undefined;
  let pauseMs = CLAIM_AGAIN_PAUSE_MS;
  for (let claims = 0; claims < open.bounds.claimsPerRun; claims += 1) {
    if (unknown !== undefined) {
      await context.timer.pause(pauseMs);
      pauseMs *= 2;
    }
    unknown = undefined;
    try {
      const attempt = await claimItem(open);
      switch (attempt.kind) {
        case "absent":
          return { kind: "idle" };
        case "held":
        case "stopped":
          return attempt;
        case "lost":
          break;
        case "claimed": {
          const ended = await workAndLetGo(attempt.claim);
          if (ended.kind !== "look-again") return ended;
          break;
        }
      }
    } catch (error) {
      if (hasCode(error, "fenced")) return { kind: "fenced" };
      if (!hasCode(error, ...CLAIM_AGAIN)) throw error;
      // Nothing of the old claim is used any more: the next one reads progress again and raises a new generation first.
      unknown = error;
      context.log({ kind: "claiming-again", itemId, generation: 0, code: error.code, message: error.message });
    }
  }
  if (unknown !== undefined) throw unknown;
  return { kind: "more" };
}

type WorkEnd = ApplyOutcome | { readonly kind: "look-again" };

async function workAndLetGo(claim: Claim): Promise<WorkEnd> {
  try {
    return await work(claim);
  } catch (error) {
    if (hasCode(error, "fenced", ...CLAIM_AGAIN)) throw error;
    if (hasCode(error, ...STOPPING)) return stop(claim, error);
    // Everything of this claim has settled, so releasing it is safe, and the next wake-up need not wait until it
    // expires.
    await claim.release().catch((secondary: unknown) => {
      if (!(secondary instanceof LeewardError)) throw secondary;
    });
    throw error;
  }
}

/** Steps c to g, repeatedly. */
async function work(claim: Claim): Promise<WorkEnd> {
  const { open } = claim;
  const { context } = open;
  // Only an earlier worker can have put deltas into the journal ahead of the intent: one check is enough.
  let journalAhead = true;
  let wanted = await readPointWanted(open.records);
  // A wake-up came and no delta since: it may have meant something else. Usually each delta has its wake-up, and this
  // reads nothing.
  let woken = false;
  let wasCut = false;
  const isOpen = watchStream(open);
  for (;;) {
    if (!(await isOpen("now and then"))) return end(claim);
    // A point that a delta was marked for may be missing because its worker died; the next batch would rule it out.
    await takeDuePoint(claim, "marked");
    if (context.clock.now() >= context.deadlineMs) return letGo(claim, "more");
    const next = await applyNext(claim, journalAhead, wasCut);
    if (next.kind === "no-room") return letGo(claim, "more");
    wasCut = next.kind === "applied" && next.wasCut;
    if (next.kind === "applied") {
      woken = false;
      await takeDuePoint(claim, "any", wanted);
      continue;
    }
    if (woken) {
      if (!(await isOpen("now"))) return end(claim);
      wanted = await readPointWanted(open.records);
    }
    await takeDuePoint(claim, "any", wanted);
    if (next.cacheFailure !== undefined) throw next.cacheFailure;
    journalAhead = false;
    woken = await waitForHint(claim);
    if (!woken) return letGo(claim, "idle");
  }
}

async function end(claim: Claim): Promise<WorkEnd> {
  await claim.release();
  return { kind: "idle" };
}

/** True when a wake-up came while the holder stayed warm. The claim is kept meanwhile. */
async function waitForHint(claim: Claim): Promise<boolean> {
  const { context, bounds, item } = claim.open;
  if (context.awaitHint === undefined || claim.progress().final) return false;
  while (context.clock.now() < context.deadlineMs) {
    const renewMs = claim.progress().expiresMs - bounds.claimRenewMs;
    if (await context.awaitHint(item.itemId, Math.min(context.deadlineMs, renewMs))) return true;
    if (context.clock.now() < context.deadlineMs) await claim.keep();
  }
  return false;
}

/** Releases the claim and checks once more: a wake-up that came while the item was held is gone. */
async function letGo(claim: Claim, kind: "idle" | "more"): Promise<WorkEnd> {
  const progress = claim.progress();
  await claim.release();
  if (kind === "more" || progress.final) return { kind };
  return (await hasNext(claim.open, progress)) ? { kind: "look-again" } : { kind };
}

async function hasNext(open: OpenItem, progress: Progress): Promise<boolean> {
  try {
    return (
      (await fromCache(open, progress, progress.applied.epoch + 1, open.bounds.smallBatchMaxBytes)) instanceof
      Uint8Array
    );
  } catch (error) {
    if (hasCode(error, "delta-too-large")) return true;
    throw error;
  }
}

/** A point shows what was applied before, so that a failover which finds the item stopped loses none of it. */
async function stop(claim: Claim, error: LeewardError): Promise<WorkEnd> {
  const { context, item } = claim.open;
  const { stream, applied } = claim.progress();
  await takeDuePoint(claim, "any", { version: 1, stream, epoch: applied.epoch });
  const reason = stopReasonOf(error, context.clock.now());
  await claim.stop(reason);
  context.log({ kind: "stopped", itemId: item.itemId, generation: claim.generation, reason });
  return { kind: "stopped", reason };
}
