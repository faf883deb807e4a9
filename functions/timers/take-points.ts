import type { TimerFunctionOptions } from "@azure/functions";
import { pointDue, pointReason } from "../../replication/points/point-due.ts";
import { findItem } from "../../replication/records/item-record.ts";
import { readProgress } from "../../replication/records/progress.ts";
import { readHeartbeat } from "../../replication/service/heartbeat.ts";
import { walkItems } from "../serving/item-walk.ts";
import { logLine } from "../serving/log.ts";
import type { Application, ApplicationSource } from "../wiring.ts";

/** Wakes the items whose point is due: the holder checks at every batch boundary, but an idle item has none. */
export const takePoints = (application: ApplicationSource): TimerFunctionOptions => ({
  schedule: "%LEEWARD_POINT_SCHEDULE%",
  handler: async (_timer, context) => {
    const app = application();
    await walkItems(app, "takePoints", context, async (itemId) => {
      if (!(await isPointDue(app, itemId))) return;
      await app.queue.send({ kind: "hint", itemId }, 0);
      context.log(logLine("point-due", { itemId }));
    });
  },
});

async function isPointDue({ stores, clock }: Application, itemId: string): Promise<boolean> {
  const stored = await findItem(stores, itemId);
  if (stored === undefined) return false;
  const { policy } = stored.item;
  const progress = (await readProgress(stores.records(itemId)))?.progress;
  const nowMs = clock.now();
  if (progress === undefined || pointReason(policy, progress, nowMs) === undefined) return false;
  const heartbeat = await readHeartbeat(stores, itemId);
  return pointDue({ policy, progress, heartbeat, nowMs }).kind === "due";
}
