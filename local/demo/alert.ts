/**
 * A resource health alert in Azure Monitor's common schema (azure-docs: alerts-common-schema), as sent by an action
 * group.
 */
export function healthAlert(machineId: string, cause: "PlatformInitiated" | "UserInitiated", nowMs: number) {
  const [, , subscription = ""] = machineId.split("/");
  const name = machineId.split("/").at(-1) ?? "";
  const firedDateTime = new Date(nowMs).toISOString();
  return {
    schemaId: "azureMonitorCommonAlertSchema",
    data: {
      essentials: {
        alertId: `/subscriptions/${subscription}/providers/Microsoft.AlertsManagement/alerts/${name}-${cause}-${nowMs}`,
        alertRule: `${name} is unavailable`,
        severity: "Sev4",
        signalType: "Activity Log",
        monitorCondition: "Fired",
        monitoringService: "Resource Health",
        alertTargetIDs: [machineId.toLowerCase()],
        configurationItems: [name],
        originAlertId: `${name}-${nowMs}`,
        firedDateTime,
        description: "",
        essentialsVersion: "1.0",
        alertContextVersion: "1.0",
      },
      alertContext: {
        channels: "Admin, Operation",
        eventSource: "ResourceHealth",
        eventTimestamp: firedDateTime,
        level: "Critical",
        operationName: "Microsoft.Resourcehealth/healthevent/Activated/action",
        properties: {
          title: "Unavailable",
          details: "The machine does not respond.",
          currentHealthStatus: "Unavailable",
          previousHealthStatus: "Available",
          type: "Downtime",
          cause,
        },
        status: "Active",
        submissionTimestamp: firedDateTime,
      },
      customProperties: {},
    },
  } as const;
}
