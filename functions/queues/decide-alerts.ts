import type { InvocationContext, StorageQueueFunctionOptions } from "@azure/functions";
import { flowClient } from "../../orchestrations/durable.ts";
import { type FailoverStarter, handleAlert } from "../../replication/alerts/handle-alert.ts";
import { ALERTS_QUEUE } from "../../replication/names.ts";
import { alertFailovers } from "../../replication/operations/alert-failovers.ts";
import { alertMessage } from "../serving/alert-message.ts";
import { parseMessage } from "../serving/hint-message.ts";
import { logLine } from "../serving/log.ts";
import type { Application, ApplicationSource } from "../wiring.ts";

/**
 * Decides on an alert, and logs the decision and its reason for each item concerned. An error returns the message to
 * the queue.
 */
export const decideAlerts = (application: ApplicationSource): StorageQueueFunctionOptions =>
  decideAlertsWith(application, (app, context) => alertFailovers(app, app.flows(context).start));

export const decideAlertsWith = (
  application: ApplicationSource,
  failoversOf: (app: Application, context: InvocationContext) => FailoverStarter,
): StorageQueueFunctionOptions => ({
  queueName: ALERTS_QUEUE,
  connection: "TargetStorage",
  extraInputs: [flowClient],
  handler: async (entry, context) => {
    const app = application();
    const { alert } = parseMessage(entry, alertMessage, "it is no alert");
    const results = await handleAlert({ ...app, failovers: failoversOf(app, context) }, alert);
    const { alertId, monitorCondition, severity } = alert;
    for (const result of results) {
      const line = logLine("alert-decided", { alertId, monitorCondition, severity, ...result });
      if (result.failover === undefined) context.log(line);
      else context.warn(line);
    }
    if (results.length === 0)
      context.log(logLine("alert-unwatched", { alertId, monitorCondition, targets: alert.targetIds }));
  },
});
