import * as z from "zod";
import { commonAlert } from "../../api/alerts.ts";
import type { Alert } from "../../replication/alerts/decide-alert.ts";

const { severity, signalType, monitorCondition } = commonAlert.shape.data.shape.essentials.shape;
const healthSchema = z.object({ currentHealthStatus: z.string(), cause: z.string().optional() });

/** What a decision needs of an alert. */
export function alertOf({ data: { essentials, alertContext } }: z.infer<typeof commonAlert>): Alert {
  const { alertId, monitoringService, alertTargetIDs, firedDateTime } = essentials;
  return {
    alertId,
    severity: essentials.severity,
    signalType: essentials.signalType,
    monitorCondition: essentials.monitorCondition,
    monitoringService,
    targetIds: alertTargetIDs,
    firedMs: Date.parse(firedDateTime),
    resourceHealth: /resource ?health/i.test(monitoringService) ? healthOf(alertContext?.properties) : undefined,
  };
}

/** Undefined where the alert does not say enough: such an alert starts nothing. */
function healthOf(properties: unknown): Alert["resourceHealth"] {
  const { data } = healthSchema.safeParse(properties);
  return data && { currentHealthStatus: data.currentHealthStatus, cause: data.cause };
}

/** An alert on its way from the function that receives it to the one that decides. */
export const alertMessage = z.object({
  kind: z.literal("alert"),
  alert: z.object({
    alertId: z.string(),
    severity,
    signalType,
    monitorCondition,
    monitoringService: z.string(),
    targetIds: z.array(z.string()),
    firedMs: z.number(),
    // JSON drops undefined fields.
    resourceHealth: healthSchema
      .optional()
      .transform((health) => health && { currentHealthStatus: health.currentHealthStatus, cause: health.cause }),
  }),
});
