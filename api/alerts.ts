import * as z from "zod";
import { ALERT_BODY_MAX_BYTES, ALERT_TARGETS_MAX_COUNT, RESOURCE_ID_MAX_LENGTH } from "../replication/limits.ts";
import type { Operation } from "./operation.ts";
import { alertSeverity } from "./shapes.ts";

const text = z.string().min(1).max(RESOURCE_ID_MAX_LENGTH);

/**
 * Azure Monitor's common alert schema (azure-docs: alerts-common-schema), as far as a decision needs it. Fields of
 * other kinds of alerts, and fields that Azure adds, are ignored: service health, for one, has numbers where others
 * have text.
 */
export const commonAlert = z.object({
  schemaId: z.literal("azureMonitorCommonAlertSchema", { error: "the action group must use the common alert schema" }),
  data: z.object({
    essentials: z.object({
      alertId: text,
      severity: alertSeverity,
      signalType: z.enum(["Metric", "Log", "Activity Log"]),
      monitorCondition: z.enum(["Fired", "Resolved"]),
      monitoringService: z.string(),
      alertTargetIDs: z.array(text).max(ALERT_TARGETS_MAX_COUNT),
      firedDateTime: z.iso.datetime({ offset: true }),
    }),
    alertContext: z.object({ properties: z.unknown().optional() }).nullish(),
  }),
});

/** What Azure Monitor sends. */
export const ALERTS = {
  receiveAlert: {
    method: "POST",
    route: "alerts",
    caller: "operator",
    summary: "Takes an alert of an action group; what comes of it is decided by message.",
    body: commonAlert,
    bodyMaxBytes: ALERT_BODY_MAX_BYTES,
    answers: {
      202: { description: "It was taken.", body: z.object({ alertId: z.string() }) },
    },
  },
} as const satisfies Readonly<Record<string, Operation>>;
