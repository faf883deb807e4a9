import type { InvocationContext, StorageQueueFunctionOptions } from "@azure/functions";
import type { ApplyEvent } from "../../replication/apply/context.ts";
import { type ApplyOutcome, applySlice } from "../../replication/apply/run.ts";
import { CLAIM_MS, SLICE_MS } from "../../replication/limits.ts";
import { HINTS_QUEUE } from "../../replication/names.ts";
import { type Hint, hintsOf } from "../serving/hint-message.ts";
import { logLine } from "../serving/log.ts";
import type { Application, ApplicationSource } from "../wiring.ts";

/** Applies what the cache holds of the items that a hint names. An error returns the message to the queue. */
export const applyHints = (application: ApplicationSource): StorageQueueFunctionOptions => ({
  queueName: HINTS_QUEUE,
  connection: "TargetStorage",
  handler: async (entry, context) => {
    const app = application();
    const [hint, ...others] = hintsOf(entry);
    // One slice works on one item; the others get their own messages, so that none waits for another.
    for (const { itemId } of others) await app.queue.send({ kind: "hint", itemId }, 0);
    if (hint !== undefined) await applyItem(app, hint, context);
  },
});

async function applyItem(app: Application, hint: Hint, context: InvocationContext): Promise<void> {
  const { itemId } = hint;
  const slot = app.wakeUps.enter(itemId);
  if (slot === undefined) {
    context.log(logLine("hint-joined", { itemId }));
    return;
  }
  const deadlineMs = app.clock.now() + SLICE_MS;
  let signalled: boolean;
  let outcome: ApplyOutcome;
  try {
    outcome = await applySlice(
      {
        stores: app.stores,
        clock: app.clock,
        timer: app.timer,
        largeBatches: app.largeBatches,
        // Unique for each invocation: two runs under one name would take the claim from each other.
        holder: `${app.processId}/${context.invocationId}`,
        // Asked at every boundary: when the process is told to end, the slice ends at once, and the item is free for
        // the next worker.
        get deadlineMs() {
          return slot.closing() ? 0 : deadlineMs;
        },
        log: (event) => logEvent(context, event),
        ...(slot.awaitHint === undefined ? {} : { awaitHint: slot.awaitHint }),
      },
      itemId,
    );
  } finally {
    signalled = slot.leave();
  }
  context.log(logLine("slice-ended", { itemId, ...outcome }));
  if (handsOn(outcome, signalled)) await app.queue.send({ kind: "hint", itemId }, 0);
  if (outcome.kind === "held") await putOff(app, hint, outcome.untilMs, context);
}

/**
 * The hint comes back when the claim it met has expired. By then the holder has renewed the claim or another worker has
 * taken it over: that worker is alive and checks after the change that the hint announced, so a hint is put off only
 * once. At most one hint waits for an item that another process holds for long.
 */
async function putOff(
  app: Application,
  { itemId, again }: Hint,
  untilMs: number,
  context: InvocationContext,
): Promise<void> {
  if (again) return;
  // The claim was written by another machine's clock.
  const nowMs = app.clock.now();
  const delayMs = Math.min(Math.max(0, untilMs - nowMs), CLAIM_MS);
  await app.wakeUps.putOff(itemId, nowMs + delayMs, async () => {
    await app.queue.send({ kind: "hint", itemId, again: true }, delayMs);
    context.log(logLine("hint-put-off", { itemId, delayMs }));
  });
}

/**
 * Whether the item needs another slice. A hint that arrived here after the run's last check announces something it has
 * not seen. A worker that has taken over checks later than the hint; if it is dead, the sweep recovers.
 */
function handsOn(outcome: ApplyOutcome, signalled: boolean): boolean {
  switch (outcome.kind) {
    case "more":
      return true;
    case "idle":
    case "stopped":
      return signalled;
    case "held":
    case "fenced":
      return false;
  }
}

function logEvent(context: InvocationContext, event: ApplyEvent): void {
  const { kind, ...facts } = event;
  if (kind === "stopped") context.warn(logLine(kind, facts));
  else context.log(logLine(kind, facts));
}
