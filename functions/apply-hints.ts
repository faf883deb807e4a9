import type { InvocationContext, StorageQueueFunctionOptions } from "@azure/functions";
import type { ApplyEvent } from "../replication/apply/context.ts";
import { type ApplyOutcome, applySlice } from "../replication/apply/run.ts";
import { HINTS_QUEUE } from "../replication/items/names.ts";
import { SLICE_MS } from "../replication/limits.ts";
import { itemsOfHint } from "./hint-message.ts";
import { logLine } from "./http-edge.ts";
import type { Application, ApplicationSource } from "./wiring.ts";

/** Applies what the cache holds of the items that a hint speaks of (DESIGN 6). What it throws gives the message back to the queue. */
export const applyHints = (application: ApplicationSource): StorageQueueFunctionOptions => ({
  queueName: HINTS_QUEUE,
  connection: "TargetStorage",
  handler: async (entry, context) => {
    const app = application();
    const [itemId, ...others] = itemsOfHint(entry);
    // One slice works on one item; the others get messages of their own, so that none waits for its neighbour.
    for (const other of others) await app.queue.send({ kind: "hint", itemId: other }, 0);
    if (itemId !== undefined) await applyItem(app, itemId, context);
  },
});

async function applyItem(app: Application, itemId: string, context: InvocationContext): Promise<void> {
  const seat = app.bell.enter(itemId);
  if (seat === undefined) {
    context.log(logLine("hint-joined", { itemId }));
    return;
  }
  const deadlineMs = app.clock.now() + SLICE_MS;
  let rung: boolean;
  let outcome: ApplyOutcome;
  try {
    outcome = await applySlice(
      {
        stores: app.stores,
        clock: app.clock,
        // Unique for each invocation: two runs under one name would take the claim from each other.
        holder: `${app.processId}/${context.invocationId}`,
        // Asked at every boundary: when the process is told to end, the slice is over at once, and the item is free for whoever comes next.
        get deadlineMs() {
          return seat.closing() ? 0 : deadlineMs;
        },
        log: (event) => logEvent(context, event),
        ...(seat.awaitHint === undefined ? {} : { awaitHint: seat.awaitHint }),
      },
      itemId,
    );
  } finally {
    rung = seat.leave();
  }
  context.log(logLine("slice-ended", { itemId, ...outcome }));
  if (handsOn(outcome, rung)) await app.queue.send({ kind: "hint", itemId }, 0);
}

/**
 * Whether the item needs another slice. A hint that rang here after the run's last look announces something it has not seen. When another worker
 * holds the item, or has taken over, that one's last look comes later than the hint; should it be dead, the sweep comes back.
 */
function handsOn(outcome: ApplyOutcome, rung: boolean): boolean {
  switch (outcome.kind) {
    case "more":
      return true;
    case "idle":
    case "stopped":
      return rung;
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
