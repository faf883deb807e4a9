import { ALERT_COOL_DOWN_MS, ALERT_HISTORY_MAX_COUNT, ALERT_MAX_AGE_MS, CLOCK_SKEW_WARNING_MS } from "../limits.ts";
import type { PointRequest } from "../points/choose-point.ts";

/**
 * The fields of an alert that the decision needs, as in Azure Monitor's common alert schema. The parser checks the
 * shapes.
 */
export interface Alert {
  readonly alertId: string;
  readonly severity: "Sev0" | "Sev1" | "Sev2" | "Sev3" | "Sev4";
  readonly signalType: "Metric" | "Log" | "Activity Log";
  readonly monitorCondition: "Fired" | "Resolved";
  /** For example `Platform`, `Log Alerts V2`, `Activity Log - Administrative`, `Resource Health`. */
  readonly monitoringService: string;
  /** `alertTargetIDs`: mostly, not always, in lower case. */
  readonly targetIds: readonly string[];
  readonly firedMs: number;
  /** `alertContext.properties` of a resource health alert; undefined for every other kind. */
  readonly resourceHealth:
    | {
        readonly currentHealthStatus: string;
        /** `PlatformInitiated`, `UserInitiated`, or something else. */
        readonly cause: string | undefined;
      }
    | undefined;
}

/** An item's rule: which alerts may start its failover. */
export interface AlertRule {
  readonly enabled: boolean;
  /** `dry-run` decides and reports, and starts nothing. */
  readonly mode: "failover" | "dry-run";
  /** The VM itself, and anything else that the operator watches for it (a scale set, a probe). */
  readonly targetIds: readonly string[];
  readonly severities: readonly Alert["severity"][];
  /** Undefined: the default. */
  readonly coolDownMs: number | undefined;
  /**
   * Undefined: the latest processed point, because an outage leaves no time to wait for a backlog whose source may be
   * gone.
   */
  readonly point?: Exclude<PointRequest, { readonly kind: "Custom" }> | undefined;
  /** Whether the source is shut down first, if it can be reached; undefined: not. */
  readonly shutDownSource?: boolean | undefined;
}

/** Earlier decisions about alerts of this item, the newest first. */
export interface AlertHistory {
  readonly decisions: readonly AlertEntry[];
  /** When an alert last started a failover, dry runs included. */
  readonly lastFiredMs: number | undefined;
}

interface AlertEntry {
  readonly key: string;
  readonly decision: AlertDecision;
  readonly atMs: number;
}

export const NO_ALERTS: AlertHistory = { decisions: [], lastFiredMs: undefined };

/** Every outcome, in words for the operator: the log gives the reason why an alert started nothing. */
export const ALERT_REASONS = {
  fire: "The alert starts a failover.",
  "dry-run": "The alert would start a failover; the rule is on trial.",
  "rule-disabled": "The item's rule is switched off.",
  "not-fired": "The alert has ended.",
  duplicate: "This alert was decided before.",
  "other-target": "The alert is about a resource that the rule does not watch.",
  "severity-not-chosen": "The rule does not act on this severity.",
  "user-initiated": "Somebody stopped the machine on purpose.",
  "cause-not-known": "The alert does not say that the platform is the cause.",
  "not-unavailable": "The resource is not reported as unavailable.",
  "too-old": "The alert fired too long ago; its cause may be over.",
  "from-the-future": "The alert's time lies ahead of the clock.",
  "cooling-down": "An alert started a failover a short time ago.",
  "failover-not-allowed": "The state of the item does not allow a failover.",
} as const;
type AlertReason = keyof typeof ALERT_REASONS;

export interface AlertDecision {
  /** True only for reason `fire`. */
  readonly failOver: boolean;
  readonly reason: AlertReason;
}

/**
 * Whether an alert starts a failover. In doubt the source stays: an alert that is not clearly an unwanted outage is
 * ignored, and every decision has its reason. `failoverAllowed`: the item's state allows it (docs/states.md).
 */
export function decideAlert(
  alert: Alert,
  rule: AlertRule,
  history: AlertHistory,
  failoverAllowed: boolean,
  nowMs: number,
): AlertDecision {
  const reason = ignoreReason(alert, rule, history, failoverAllowed, nowMs);
  if (reason !== undefined) return { failOver: false, reason };
  return rule.mode === "dry-run" ? { failOver: false, reason: "dry-run" } : { failOver: true, reason: "fire" };
}

/**
 * The history with this decision. Repetitions add nothing: an action group that retries cannot push older entries out.
 */
export function rememberAlert(
  history: AlertHistory,
  alert: Alert,
  decision: AlertDecision,
  nowMs: number,
): AlertHistory {
  if (decision.reason === "duplicate") return history;
  return {
    decisions: [{ key: alertKey(alert), decision, atMs: nowMs }, ...history.decisions].slice(
      0,
      ALERT_HISTORY_MAX_COUNT,
    ),
    lastFiredMs: decision.reason === "fire" || decision.reason === "dry-run" ? nowMs : history.lastFiredMs,
  };
}

function ignoreReason(
  alert: Alert,
  rule: AlertRule,
  history: AlertHistory,
  failoverAllowed: boolean,
  nowMs: number,
): AlertReason | undefined {
  if (alert.monitorCondition !== "Fired") return "not-fired";
  if (history.decisions.some(({ key }) => key === alertKey(alert))) return "duplicate";
  if (!rule.enabled) return "rule-disabled";
  if (!watches(rule, alert)) return "other-target";
  if (!rule.severities.includes(alert.severity)) return "severity-not-chosen";
  const unwanted = causeReason(alert);
  if (unwanted !== undefined) return unwanted;
  if (nowMs - alert.firedMs > ALERT_MAX_AGE_MS) return "too-old";
  if (alert.firedMs - nowMs > CLOCK_SKEW_WARNING_MS) return "from-the-future";
  const { lastFiredMs } = history;
  if (lastFiredMs !== undefined && nowMs - lastFiredMs < (rule.coolDownMs ?? ALERT_COOL_DOWN_MS)) return "cooling-down";
  return failoverAllowed ? undefined : "failover-not-allowed";
}

/**
 * Deallocating a VM by hand raises a resource health alert too, with cause UserInitiated; an administrative entry is
 * always an action of a user.
 */
function causeReason({ monitoringService, resourceHealth, signalType }: Alert): AlertReason | undefined {
  if (signalType === "Activity Log" && /administrative/i.test(monitoringService)) return "user-initiated";
  if (resourceHealth === undefined) return /resource ?health/i.test(monitoringService) ? "cause-not-known" : undefined;
  const cause = resourceHealth.cause?.toLowerCase().replaceAll(/[^a-z]/g, "");
  if (cause === "userinitiated") return "user-initiated";
  if (cause !== "platforminitiated") return "cause-not-known";
  return resourceHealth.currentHealthStatus.toLowerCase() === "unavailable" ? undefined : "not-unavailable";
}

/** Whether the alert concerns a target of the rule. Azure's ids are case-insensitive. */
export function watches(rule: AlertRule, alert: Alert): boolean {
  const watched = new Set(rule.targetIds.map((id) => id.toLowerCase()));
  return alert.targetIds.some((id) => watched.has(id.toLowerCase()));
}

/** One alert of one condition, however often it is delivered. */
export function alertKey({ alertId, monitorCondition }: Alert): string {
  return `${alertId.toLowerCase()} ${monitorCondition}`;
}
