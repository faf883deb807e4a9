import type { InvocationContext, TimerFunctionOptions } from "@azure/functions";
import { sweepItem } from "../replication/items/sweep.ts";
import { SWEEP_ALL_MS } from "../replication/limits.ts";
import { logLine } from "./http-edge.ts";
import { walkItems } from "./item-walk.ts";
import type { Application, ApplicationSource } from "./wiring.ts";

/** Finds what no event announced: deltas without a hint, dead workers, forgotten restores, and what has to be tidied up (rule 5). */
export const sweep = (application: ApplicationSource): TimerFunctionOptions => ({
  schedule: "%LEEWARD_SWEEP_SCHEDULE%",
  handler: async (_timer, context) => {
    const app = application();
    await walkItems(app, "sweep", context, (itemId) => sweepOne(app, itemId, context));
  },
});

async function sweepOne(app: Application, itemId: string, context: InvocationContext): Promise<void> {
  const nowMs = app.clock.now();
  const tidiedMs = app.tidied.get(itemId);
  // A process that has just started knows of no sweep, and begins with a whole one.
  const scope = tidiedMs === undefined || nowMs - tidiedMs >= SWEEP_ALL_MS ? "all" : "hints";
  const summary = await sweepItem(app, itemId, scope);
  if (summary === undefined) return;
  if (scope === "all" && !summary.more) app.tidied.set(itemId, nowMs);
  if (summary.cache.hints.length > 0) await app.queue.send({ kind: "hint", itemId }, 0);
  for (const restoreId of summary.restores) await app.queue.send({ kind: "restore", itemId, restoreId }, 0);
  const { cacheFailure, ...cache } = summary.cache;
  const line = logLine("swept", {
    scope,
    ...summary,
    cache: { ...cache, failure: cacheFailure?.code, failedBlob: cacheFailure?.facts["name"] },
  });
  // The target account alone was swept; that the source region cannot be reached is for the operator to know.
  if (cacheFailure !== undefined) context.warn(line);
  else if (scope === "all" || cache.hints.length > 0) context.log(line);
  else context.debug(line);
}
