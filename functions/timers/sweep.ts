import type { InvocationContext, TimerFunctionOptions } from "@azure/functions";
import { flowClient } from "../../orchestrations/durable.ts";
import { resumeAlert } from "../../replication/alerts/handle-alert.ts";
import { hasCode } from "../../replication/errors.ts";
import { announceItem } from "../../replication/events/announce.ts";
import { SWEEP_ALL_MS } from "../../replication/limits.ts";
import { alertFailovers } from "../../replication/operations/alert-failovers.ts";
import { retryLeftover } from "../../replication/operations/leftovers.ts";
import { reconcileFlow } from "../../replication/operations/request.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { walkItems } from "../serving/item-walk.ts";
import { describeError, logLine } from "../serving/log.ts";
import type { Application, ApplicationSource } from "../wiring.ts";

/**
 * Finds what no event announced: deltas without a hint, dead workers, forgotten restores, and what needs cleaning up
 * (rule 5).
 */
export const sweep = (application: ApplicationSource): TimerFunctionOptions => ({
  schedule: "%LEEWARD_SWEEP_SCHEDULE%",
  extraInputs: [flowClient],
  handler: async (_timer, context) => {
    const app = application();
    // What replicates an item needs the source region, which may hang: its failover does not wait for that.
    await walkItems(app, "sweep", context, (itemId) =>
      inTurn([
        () => reconcileFlows(app, itemId, context),
        () => sweepOne(app, itemId, context),
        async () => {
          const tried = await retryLeftover(app, itemId);
          if (tried !== undefined) context.warn(logLine("leftover-tried", { itemId, ...tried }));
        },
      ]),
    );
  },
});

/** Runs every part, whatever happened to earlier ones; the first failure is thrown at the end. */
async function inTurn(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const part of parts) await part().catch((error: unknown) => void failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function reconcileFlows(app: Application, itemId: string, context: InvocationContext): Promise<void> {
  const flows = app.flows(context);
  await reconcileFlow(app, itemId, flows);
  const resumed = await resumeAlert({ ...app, failovers: alertFailovers(app, flows.start) }, itemId);
  if (resumed !== undefined) context.warn(logLine("alert-resumed", { itemId, ...resumed }));
}

async function sweepOne(app: Application, itemId: string, context: InvocationContext): Promise<void> {
  const nowMs = app.clock.now();
  const tidiedMs = app.tidied.get(itemId);
  // A new process has no record of a sweep and begins with a full one; setting the clock back delays no sweep until it
  // has caught up.
  const scope = tidiedMs === undefined || Math.abs(nowMs - tidiedMs) >= SWEEP_ALL_MS ? "all" : "hints";
  const summary = await sweepItem(app, itemId, scope);
  if (scope === "all" && summary?.more !== true) app.tidied.set(itemId, nowMs);
  if (summary === undefined) return;
  if (summary.cache.hints.length > 0) await app.queue.send({ kind: "hint", itemId }, 0);
  for (const restoreId of summary.restores) await app.queue.send({ kind: "restore", itemId, restoreId }, 0);
  const { cacheFailure, ...cache } = summary.cache;
  const line = logLine("swept", {
    scope,
    ...summary,
    damaged: summary.damaged === undefined ? undefined : describeError(summary.damaged),
    cache: { ...cache, failure: cacheFailure?.code, failedBlob: cacheFailure?.facts["name"] },
  });
  // Only the target account was swept; an unreachable source region or an unreadable record is for the operator to
  // know.
  if (cacheFailure !== undefined || summary.damaged !== undefined) context.warn(line);
  else if (scope === "all" || cache.hints.length > 0) context.log(line);
  else context.debug(line);
  await announce(app, itemId, context);
}

/**
 * Comes last. An unavailable topic is reported to the operator and does not fail the sweep: the next sweep publishes
 * what this one could not.
 */
async function announce({ events, ...app }: Application, itemId: string, context: InvocationContext): Promise<void> {
  if (events === undefined) return;
  try {
    const sent = await announceItem({ ...app, events }, itemId);
    if (sent > 0) context.log(logLine("events-sent", { itemId, sent }));
  } catch (error) {
    if (!hasCode(error, "events-unavailable", "events-refused")) throw error;
    const line = logLine("events-waiting", { itemId, ...describeError(error) });
    if (error.facts["repeated"] === true) context.debug(line);
    else context.warn(line);
  }
}
