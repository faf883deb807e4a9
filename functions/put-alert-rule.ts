import type { HttpFunctionOptions } from "@azure/functions";
import { setAlertRule } from "../replication/alerts/alert-record.ts";
import { bodyOf, httpHandler, itemOf } from "./http-edge.ts";
import { alertRuleBody } from "./request-shapes.ts";
import { ruleView } from "./alert-views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** Gives an item the rule by which alerts may start its failover; what was decided before stays. */
export const putAlertRule = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["PUT"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/alertRule",
  handler: httpHandler(async (request) => {
    const itemId = itemOf(request);
    const given = await bodyOf(request, alertRuleBody);
    return { status: 200, body: ruleView(await setAlertRule(application(), itemId, given)) };
  }),
});
