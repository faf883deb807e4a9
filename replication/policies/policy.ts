import type { ReplicationPolicy } from "../items/item.ts";
import { requireField, requirePolicy } from "../items/request-rules.ts";
import {
  APP_POINT_INTERVAL_MAX_MS,
  APP_POINT_INTERVAL_MIN_MS,
  POINT_INTERVAL_DEFAULT_MS,
  RETENTION_DEFAULT_MS,
  RETENTION_MAX_MS,
  RPO_WARNING_MS,
} from "../limits.ts";

/** A replication policy as Site Recovery's REST interface has it: minutes (its PowerShell has hours). Each field may be left out. */
export interface PolicyInMinutes {
  /** How long points are kept; 0 keeps the latest only. */
  readonly recoveryPointHistory?: number | undefined;
  readonly crashConsistentFrequencyInMinutes?: number | undefined;
  /** 0: off. */
  readonly appConsistentFrequencyInMinutes?: number | undefined;
  /** A recovery point objective above this is a warning. */
  readonly recoveryPointThresholdInMinutes?: number | undefined;
}

/** A policy inside, in milliseconds. One policy may serve many items; a change acts on all of them. */
export interface Policy extends ReplicationPolicy {
  /** Undefined: no application-consistent points. */
  readonly appPointIntervalMs: number | undefined;
  readonly rpoThresholdMs: number;
}

/** Site Recovery's: 24 h of points, one every 5 minutes, application-consistent points off; its usual threshold of 15 minutes. */
export const POLICY_DEFAULTS: Policy = {
  pointIntervalMs: POINT_INTERVAL_DEFAULT_MS,
  retentionMs: RETENTION_DEFAULT_MS,
  appPointIntervalMs: undefined,
  rpoThresholdMs: RPO_WARNING_MS,
};

const MINUTE_MS = 60_000;

/** What is left out stays as in `before`. Errors: `invalid-request` that names the field. */
export function policyFromMinutes(given: PolicyInMinutes, before: Policy = POLICY_DEFAULTS): Policy {
  const appMs = inMs(given.appConsistentFrequencyInMinutes, before.appPointIntervalMs ?? 0);
  const policy: Policy = {
    pointIntervalMs: inMs(given.crashConsistentFrequencyInMinutes, before.pointIntervalMs),
    retentionMs: inMs(given.recoveryPointHistory, before.retentionMs),
    appPointIntervalMs: appMs === 0 ? undefined : appMs,
    rpoThresholdMs: inMs(given.recoveryPointThresholdInMinutes, before.rpoThresholdMs),
  };
  requirePolicy(policy);
  const { appPointIntervalMs, pointIntervalMs, retentionMs, rpoThresholdMs } = policy;
  if (appPointIntervalMs !== undefined) {
    const field = "appConsistentFrequencyInMinutes";
    requireField(
      Number.isSafeInteger(appPointIntervalMs) &&
        appPointIntervalMs >= APP_POINT_INTERVAL_MIN_MS &&
        appPointIntervalMs <= APP_POINT_INTERVAL_MAX_MS,
      field,
      `0 (off), or ${APP_POINT_INTERVAL_MIN_MS / MINUTE_MS} to ${APP_POINT_INTERVAL_MAX_MS / MINUTE_MS} minutes`,
    );
    requireField(
      appPointIntervalMs >= pointIntervalMs,
      field,
      "application-consistent points come at most as often as crash-consistent ones",
    );
    requireField(retentionMs === 0 || appPointIntervalMs <= retentionMs, field, "within the time that points are kept");
  }
  requireField(
    Number.isSafeInteger(rpoThresholdMs) && rpoThresholdMs > 0 && rpoThresholdMs <= RETENTION_MAX_MS,
    "recoveryPointThresholdInMinutes",
    `more than 0 and at most ${RETENTION_MAX_MS / MINUTE_MS} minutes`,
  );
  return policy;
}

export function policyInMinutes(policy: Policy): Required<{ readonly [Field in keyof PolicyInMinutes]: number }> {
  return {
    recoveryPointHistory: policy.retentionMs / MINUTE_MS,
    crashConsistentFrequencyInMinutes: policy.pointIntervalMs / MINUTE_MS,
    appConsistentFrequencyInMinutes: (policy.appPointIntervalMs ?? 0) / MINUTE_MS,
    recoveryPointThresholdInMinutes: policy.rpoThresholdMs / MINUTE_MS,
  };
}

/** Whole milliseconds, so that a third of a minute is what it was after a look through the interface. */
function inMs(minutes: number | undefined, before: number): number {
  return minutes === undefined ? before : Math.round(minutes * MINUTE_MS);
}
