import type { StorageQueueFunctionOptions } from "@azure/functions";
import { type FailoverStarter, handleAlert } from "../replication/alerts/handle-alert.ts";
import { ALERTS_QUEUE } from "../replication/items/names.ts";
import { alertMessage } from "./alert-message.ts";
import { parseMessage } from "./hint-message.ts";
import { logLine } from "./http-edge.ts";
import type { Application } from "./wiring.ts";

/** The application with the flows that an alert may start. */
export type AlertApplicationSource = () => Application & { readonly failovers: FailoverStarter };

/** Decides on an alert, and logs for each item that it concerns what was decided and why. What it throws gives the message back to the queue. */
export const decideAlerts = (application: AlertApplicationSource): StorageQueueFunctionOptions => ({
  queueName: ALERTS_QUEUE,
  connection: "TargetStorage",
  handler: async (entry, context) => {
    const { alert } = parseMessage(entry, alertMessage, "it is no alert");
    const results = await handleAlert(application(), alert);
    const { alertId, monitorCondition, severity } = alert;
    for (const result of results) {
      const line = logLine("alert-decided", { alertId, monitorCondition, severity, ...result });
      if (result.failover === undefined) context.log(line);
      else context.warn(line);
    }
    if (results.length === 0) context.log(logLine("alert-unwatched", { alertId, monitorCondition, targets: alert.targetIds }));
  },
});
