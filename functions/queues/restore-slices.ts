import type { StorageQueueFunctionOptions } from "@azure/functions";
import { hasCode } from "../../replication/errors.ts";
import { RESTORES_QUEUE } from "../../replication/names.ts";
import { restoreSlice } from "../../replication/restore/slice.ts";
import { restoreOfMessage } from "../serving/hint-message.ts";
import { logLine } from "../serving/log.ts";
import type { ApplicationSource } from "../wiring.ts";

/**
 * Polls a restore once; while its copies run, a message triggers the next poll. An error returns the message to the
 * queue.
 */
export const restoreSlices = (application: ApplicationSource): StorageQueueFunctionOptions => ({
  queueName: RESTORES_QUEUE,
  connection: "TargetStorage",
  handler: async (entry, context) => {
    const app = application();
    const { itemId, restoreId } = restoreOfMessage(entry);
    const step = await restoreSlice(app, itemId, restoreId).catch((error: unknown) => {
      // It was deleted after the message was sent.
      if (hasCode(error, "restore-unknown")) return { kind: "gone" } as const;
      throw error;
    });
    context.log(logLine("restore-slice-ended", { itemId, restoreId, ...step }));
    if (step.kind === "again") await app.queue.send({ kind: "restore", itemId, restoreId }, step.delayMs);
  },
});
