import * as z from "zod";
import type { Alert } from "../replication/alerts/decide-alert.ts";
import { ALERT_TARGETS_MAX_COUNT, RESOURCE_ID_MAX_LENGTH } from "../replication/limits.ts";

export const alertSeverity = z.enum(["Sev0", "Sev1", "Sev2", "Sev3", "Sev4"]);
const signalType = z.enum(["Metric", "Log", "Activity Log"]);
const monitorCondition = z.enum(["Fired", "Resolved"]);
const text = z.string().min(1).max(RESOURCE_ID_MAX_LENGTH);
const targets = z.array(text).max(ALERT_TARGETS_MAX_COUNT);

const healthSchema = z.object({ currentHealthStatus: z.string(), cause: z.string().optional() });

/**
 * Azure Monitor's common alert schema (azure-docs: alerts-common-schema), as far as a decision needs it. What other
 * kinds of alerts carry beside that, and what Azure adds, is read over: service health, for one, has numbers where
 * others have text.
 */
export const alertPayload = z
  .object({
    schemaId: z.literal("azureMonitorCommonAlertSchema", {
      error: "the action group must use the common alert schema",
    }),
    data: z.object({
      essentials: z.object({
        alertId: text,
        severity: alertSeverity,
        signalType,
        monitorCondition,
        monitoringService: z.string(),
        alertTargetIDs: targets,
        firedDateTime: z.iso.datetime({ offset: true }),
      }),
      alertContext: z.object({ properties: z.unknown().optional() }).nullish(),
    }),
  })
  .transform(({ data: { essentials, alertContext } }): Alert => {
    const { alertId, severity, signalType, monitorCondition, monitoringService, alertTargetIDs, firedDateTime } =
      essentials;
    return {
      alertId,
      severity,
      signalType,
      monitorCondition,
      monitoringService,
      targetIds: alertTargetIDs,
      firedMs: Date.parse(firedDateTime),
      resourceHealth: /resource ?health/i.test(monitoringService) ? healthOf(alertContext?.properties) : undefined,
    };
  });

/** Undefined where the alert does not say enough: such a one starts nothing. */
function healthOf(properties: unknown): Alert["resourceHealth"] {
  const { data } = healthSchema.safeParse(properties);
  return data && { currentHealthStatus: data.currentHealthStatus, cause: data.cause };
}

/** An alert on its way from the function that takes it in to the one that decides. */
export const alertMessage = z.object({
  kind: z.literal("alert"),
  alert: z.object({
    alertId: z.string(),
    severity: alertSeverity,
    signalType,
    monitorCondition,
    monitoringService: z.string(),
    targetIds: z.array(z.string()),
    firedMs: z.number(),
    // JSON drops what is undefined.
    resourceHealth: healthSchema
      .optional()
      .transform((health) => health && { currentHealthStatus: health.currentHealthStatus, cause: health.cause }),
  }),
});
