import { POINT_INTERVAL_DEFAULT_MS, RETENTION_DEFAULT_MS, RETENTION_MAX_MS, RPO_WARNING_MS } from "../limits.ts";
import type { ReplicationPolicy } from "./item.ts";
import { requireAppConsistentInterval, requireField, requirePolicy } from "./request-rules.ts";

/**
 * A replication policy as Site Recovery's REST interface has it: minutes (its PowerShell has hours). Each field may be
 * left out.
 */
export interface PolicyInMinutes {
  /** How long points are kept; 0 keeps the latest only. */
  readonly recoveryPointHistory?: number | undefined;
  readonly crashConsistentFrequencyInMinutes?: number | undefined;
  /** 0: off. */
  readonly appConsistentFrequencyInMinutes?: number | undefined;
  /** A recovery point objective above this is a warning. */
  readonly recoveryPointThresholdInMinutes?: number | undefined;
}

/** Site Recovery's own: a point every 5 minutes, kept for a day; application-consistent points off. */
export const DEFAULT_POLICY: ReplicationPolicy = {
  pointIntervalMs: POINT_INTERVAL_DEFAULT_MS,
  retentionMs: RETENTION_DEFAULT_MS,
};

const MINUTE_MS = 60_000;

/** Omitted fields stay as in `before`. Errors: `invalid-request` that names the field. */
export function policyFromMinutes(
  given: PolicyInMinutes,
  before: ReplicationPolicy = DEFAULT_POLICY,
): ReplicationPolicy {
  const appMs = inMs(given.appConsistentFrequencyInMinutes, before.appConsistentIntervalMs ?? 0);
  const rpoThresholdMs = inMs(given.recoveryPointThresholdInMinutes, before.rpoThresholdMs ?? RPO_WARNING_MS);
  const policy: ReplicationPolicy = {
    pointIntervalMs: inMs(given.crashConsistentFrequencyInMinutes, before.pointIntervalMs),
    retentionMs: inMs(given.recoveryPointHistory, before.retentionMs),
    appConsistentIntervalMs: appMs === 0 ? undefined : appMs,
    rpoThresholdMs: rpoThresholdMs === RPO_WARNING_MS ? undefined : rpoThresholdMs,
  };
  requireAppConsistentInterval(policy, "appConsistentFrequencyInMinutes");
  requirePolicy(policy);
  requireField(
    Number.isSafeInteger(rpoThresholdMs) && rpoThresholdMs > 0 && rpoThresholdMs <= RETENTION_MAX_MS,
    "recoveryPointThresholdInMinutes",
    `more than 0 and at most ${RETENTION_MAX_MS / MINUTE_MS} minutes`,
  );
  return policy;
}

/** Whether both policies treat an item the same. */
export function samePolicy(left: ReplicationPolicy, right: ReplicationPolicy): boolean {
  const [leftMinutes, rightMinutes] = [policyInMinutes(left), policyInMinutes(right)];
  return POLICY_FIELDS.every((field) => leftMinutes[field] === rightMinutes[field]);
}

const POLICY_FIELDS = [
  "recoveryPointHistory",
  "crashConsistentFrequencyInMinutes",
  "appConsistentFrequencyInMinutes",
  "recoveryPointThresholdInMinutes",
] as const satisfies readonly (keyof PolicyInMinutes)[];

/** A policy with all its values. */
export function policyInMinutes(policy: ReplicationPolicy): Readonly<Record<keyof PolicyInMinutes, number>> {
  return {
    recoveryPointHistory: policy.retentionMs / MINUTE_MS,
    crashConsistentFrequencyInMinutes: policy.pointIntervalMs / MINUTE_MS,
    appConsistentFrequencyInMinutes: (policy.appConsistentIntervalMs ?? 0) / MINUTE_MS,
    recoveryPointThresholdInMinutes: (policy.rpoThresholdMs ?? RPO_WARNING_MS) / MINUTE_MS,
  };
}

/** Whole milliseconds, so that a third of a minute survives a round trip through the interface. */
function inMs(minutes: number | undefined, before: number): number {
  return minutes === undefined ? before : Math.round(minutes * MINUTE_MS);
}
