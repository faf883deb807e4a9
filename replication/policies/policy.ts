import type { ReplicationPolicy } from "../items/item.ts";
import { requireAppConsistentInterval, requireField, requirePolicy } from "../items/request-rules.ts";
import { POINT_INTERVAL_DEFAULT_MS, RETENTION_DEFAULT_MS, RETENTION_MAX_MS, RPO_WARNING_MS } from "../limits.ts";

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
  readonly rpoThresholdMs: number;
}

/** Site Recovery's own: a point every 5 minutes, kept for a day; application-consistent points off. */
export const DEFAULT_POLICY: ReplicationPolicy = { pointIntervalMs: POINT_INTERVAL_DEFAULT_MS, retentionMs: RETENTION_DEFAULT_MS };

/** The same with Site Recovery's usual threshold of 15 minutes. */
export const POLICY_DEFAULTS: Policy = { ...DEFAULT_POLICY, rpoThresholdMs: RPO_WARNING_MS };

const MINUTE_MS = 60_000;

/** What is left out stays as in `before`. Errors: `invalid-request` that names the field. */
export function policyFromMinutes(given: PolicyInMinutes, before: Policy = POLICY_DEFAULTS): Policy {
  const appMs = inMs(given.appConsistentFrequencyInMinutes, before.appConsistentIntervalMs ?? 0);
  const policy: Policy = {
    pointIntervalMs: inMs(given.crashConsistentFrequencyInMinutes, before.pointIntervalMs),
    retentionMs: inMs(given.recoveryPointHistory, before.retentionMs),
    appConsistentIntervalMs: appMs === 0 ? undefined : appMs,
    rpoThresholdMs: inMs(given.recoveryPointThresholdInMinutes, before.rpoThresholdMs),
  };
  requireAppConsistentInterval(policy, "appConsistentFrequencyInMinutes");
  requirePolicy(policy);
  const { rpoThresholdMs } = policy;
  requireField(
    Number.isSafeInteger(rpoThresholdMs) && rpoThresholdMs > 0 && rpoThresholdMs <= RETENTION_MAX_MS,
    "recoveryPointThresholdInMinutes",
    `more than 0 and at most ${RETENTION_MAX_MS / MINUTE_MS} minutes`,
  );
  return policy;
}

/** What an item has of a policy. */
export function itemPolicy({ pointIntervalMs, retentionMs, appConsistentIntervalMs }: ReplicationPolicy): ReplicationPolicy {
  return { pointIntervalMs, retentionMs, appConsistentIntervalMs };
}

/** Whether an item with one of them keeps its points as with the other. */
export function samePolicy(left: ReplicationPolicy, right: ReplicationPolicy): boolean {
  const [leftAppMs, rightAppMs] = [left, right].map(({ appConsistentIntervalMs }) => appConsistentIntervalMs ?? 0);
  return left.pointIntervalMs === right.pointIntervalMs && left.retentionMs === right.retentionMs && leftAppMs === rightAppMs;
}

type InMinutes<Field extends keyof PolicyInMinutes> = Readonly<Record<Field, number>>;

/** The policy of an item. */
export function itemPolicyInMinutes(
  policy: ReplicationPolicy,
): InMinutes<Exclude<keyof PolicyInMinutes, "recoveryPointThresholdInMinutes">> {
  return {
    recoveryPointHistory: policy.retentionMs / MINUTE_MS,
    crashConsistentFrequencyInMinutes: policy.pointIntervalMs / MINUTE_MS,
    appConsistentFrequencyInMinutes: (policy.appConsistentIntervalMs ?? 0) / MINUTE_MS,
  };
}

export function policyInMinutes(policy: Policy): InMinutes<keyof PolicyInMinutes> {
  return { ...itemPolicyInMinutes(policy), recoveryPointThresholdInMinutes: policy.rpoThresholdMs / MINUTE_MS };
}

/** Whole milliseconds, so that a third of a minute is what it was after a look through the interface. */
function inMs(minutes: number | undefined, before: number): number {
  return minutes === undefined ? before : Math.round(minutes * MINUTE_MS);
}
