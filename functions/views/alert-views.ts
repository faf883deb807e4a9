import type { alertRecord, alertRule } from "../../api/alert-rules.ts";
import type { Told } from "../../api/operation.ts";
import type { AlertRecord } from "../../replication/alerts/alert-record.ts";
import { ALERT_REASONS, type AlertRule } from "../../replication/alerts/decide-alert.ts";
import { alertOperationId } from "../../replication/alerts/handle-alert.ts";
import { jobIdOf } from "../../replication/jobs/job.ts";
import { ALERT_COOL_DOWN_MS } from "../../replication/limits.ts";
import { jobName } from "./job-views.ts";
import { timeView } from "./time-view.ts";

/** A rule as the API accepts and shows it. */
export function ruleView({
  enabled,
  mode,
  targetIds,
  severities,
  coolDownMs,
  point,
  shutDownSource,
}: AlertRule): Told<typeof alertRule> {
  return {
    enabled,
    mode,
    targetIds,
    severities,
    coolDownInMinutes: (coolDownMs ?? ALERT_COOL_DOWN_MS) / 60_000,
    recoveryPointType: point?.kind ?? "LatestProcessed",
    sourceSiteOperations: shutDownSource === true ? "Required" : "NotRequired",
  };
}

/** The rule with its decisions. A decision that started a failover names its job. */
export function alertRecordView(itemId: string, { rule, history, pending }: AlertRecord): Told<typeof alertRecord> {
  const jobOf = (key: string): string => jobName({ itemId, jobId: jobIdOf(itemId, alertOperationId(itemId, key)) });
  return {
    ...ruleView(rule),
    decisions: history.decisions.map(({ key, decision, atMs }) => ({
      alert: key,
      decided: timeView(atMs),
      reason: decision.reason,
      message: ALERT_REASONS[decision.reason],
      job: decision.failOver && pending?.alertKey !== key ? jobOf(key) : undefined,
    })),
  };
}
