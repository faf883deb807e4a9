import type { HttpFunctionOptions } from "@azure/functions";
import { removeAlertRule } from "../replication/alerts/alert-record.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * 204, also when there is none: from now on alerts start nothing for this item. What was decided stays known to the
 * next rule.
 */
export const deleteAlertRule = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["DELETE"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/alertRule",
  handler: httpHandler(async (request) => {
    await removeAlertRule(application(), itemOf(request));
    return { status: 204, body: undefined };
  }),
});
