import * as z from "zod";
import type { Operation } from "./operation.ts";
import { alertSeverity, failoverPointType, sourceSiteOperations, time } from "./shapes.ts";

const route = "replicationProtectedItems/{item}/alertRule";

/** A rule as it is shown, with its defaults. */
export const alertRule = z
  .object({
    enabled: z.boolean(),
    mode: z.enum(["failover", "dry-run"]),
    targetIds: z.array(z.string()),
    severities: z.array(alertSeverity),
    coolDownInMinutes: z.number(),
    recoveryPointType: failoverPointType,
    sourceSiteOperations,
  })
  .meta({ id: "AlertRule", description: "Which alerts start the failover of an item." });

/** The rule with its decisions. */
export const alertRecord = alertRule
  .extend({
    decisions: z.array(
      z.object({
        alert: z.string(),
        decided: time,
        reason: z.string(),
        message: z.string(),
        job: z.string().optional().describe("The failover that it started."),
      }),
    ),
  })
  .meta({ id: "AlertRecord", description: "A rule, and what was decided by it, the newest first." });

/** A rule for alerts; the defaults are cautious. */
const alertRuleBody = z.strictObject({
  enabled: z.boolean().default(true),
  mode: z.enum(["failover", "dry-run"]),
  targetIds: z.array(z.string()).optional().describe("The item's own machine unless given."),
  severities: z.array(alertSeverity),
  coolDownInMinutes: z.number().optional(),
  recoveryPointType: failoverPointType.default("LatestProcessed"),
  sourceSiteOperations: sourceSiteOperations.default("NotRequired"),
});

/** The rule by which alerts may start the failover of an item. */
export const ALERT_RULES = {
  showAlertRule: {
    method: "GET",
    route,
    caller: "operator",
    summary: "The alert rule of an item, and what was decided by it.",
    answers: { 200: { description: "The rule with its decisions.", body: alertRecord } },
  },
  putAlertRule: {
    method: "PUT",
    route,
    caller: "operator",
    summary: "Gives an item the rule by which alerts may start its failover; what was decided before stays.",
    body: alertRuleBody,
    answers: { 200: { description: "The rule with its defaults.", body: alertRule } },
  },
  deleteAlertRule: {
    method: "DELETE",
    route,
    caller: "operator",
    summary: "Takes the rule away: alerts start nothing for this item any more.",
    answers: { 204: { description: "There is none now." } },
  },
} as const satisfies Readonly<Record<string, Operation>>;
