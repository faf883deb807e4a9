import { LeewardError } from "../errors.ts";
import { type FailoverRequest, readManaged } from "../jobs/managed-item.ts";
import { ALERT_COOL_DOWN_MAX_MS, ALERT_TARGETS_MAX_COUNT, RESOURCE_ID_MAX_LENGTH } from "../limits.ts";
import { ALERT_RECORD } from "../names.ts";
import type { Clock, ItemStores } from "../ports.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import { requireField } from "../records/request-rules.ts";
import { type AlertHistory, type AlertRule, NO_ALERTS } from "./decide-alert.ts";

/** An item's rule, its decisions, and the failover that still has to be started. */
export interface AlertRecord {
  readonly version: 1;
  /** Undefined in older records. */
  readonly itemId?: string | undefined;
  readonly rule: AlertRule;
  readonly history: AlertHistory;
  /** Decided, and not yet known to be started: the redelivered alert or the sweep starts it. */
  readonly pending: PendingFailover | undefined;
}

/**
 * `alerts.json`. Changed by compare-and-set only. Removing a rule leaves its history: a redelivered alert must not
 * start a second failover by the next rule.
 */
type StoredAlerts = Omit<AlertRecord, "rule"> & { readonly rule: AlertRule | undefined };

interface PendingFailover {
  readonly alertKey: string;
  readonly operationId: string;
  readonly decidedMs: number;
  /** As decided: a rule changed meanwhile must not make two requests of one operation. */
  readonly request: AlertFailover;
}

/** The request of an alert. */
export interface AlertFailover extends FailoverRequest {
  readonly operation: "UnplannedFailover";
  /** Recorded in the job as its requester. */
  readonly alertId: string;
}

/** Undefined for an item without a rule. Errors: `record-corrupt`. */
export async function findAlertRecord(stores: ItemStores, itemId: string): Promise<AlertRecord | undefined> {
  return withRule((await alertsRecord(stores, itemId).find())?.body);
}

/** Errors: `alert-rule-unknown`, `item-unknown`, `record-corrupt`. */
export async function readAlertRecord(stores: ItemStores, itemId: string): Promise<AlertRecord> {
  const found = await findAlertRecord(stores, itemId);
  if (found !== undefined) return found;
  await readManaged(stores, itemId);
  throw new LeewardError("alert-rule-unknown", `The item "${itemId}" has no alert rule.`, { itemId });
}

/**
 * Removes the rule, and any decision not yet begun; a missing rule is fine. Rebuilds a damaged record. Errors:
 * `conflict`.
 */
export async function removeAlertRule(context: AlertRuleContext, itemId: string): Promise<void> {
  await changeStored(context, itemId, (found) =>
    found?.rule === undefined ? found : { ...found, rule: undefined, pending: undefined },
  );
}

/** A rule as an operator gives it. */
export type GivenAlertRule = Omit<AlertRule, "targetIds"> & {
  /** Undefined: the item's own VM. */
  readonly targetIds: readonly string[] | undefined;
};

/** The context for changing a rule. */
export interface AlertRuleContext {
  readonly stores: ItemStores;
  readonly clock: Clock;
}

/**
 * Gives the item this rule, and returns it in full; earlier decisions stay. Only an item with a machine to fail over
 * can have one. Rebuilds a damaged record. Errors: `invalid-request` that names the field, `item-unknown`, `conflict`.
 */
export async function setAlertRule(
  context: AlertRuleContext,
  itemId: string,
  given: GivenAlertRule,
): Promise<AlertRule> {
  const { sourceVmId } = await readManaged(context.stores, itemId);
  const rule: AlertRule = { ...given, targetIds: given.targetIds ?? [sourceVmId] };
  requireRule(rule);
  await changeStored(context, itemId, (found) => ({
    version: 1,
    itemId,
    history: NO_ALERTS,
    pending: undefined,
    ...found,
    rule,
  }));
  return rule;
}

/**
 * Changes the record of an item that has a rule; undefined for an item without one. `change` may be called several
 * times, and returns the same record when nothing has to be written. Errors: `conflict`, `record-corrupt`.
 */
export async function changeAlertRecord(
  stores: ItemStores,
  itemId: string,
  change: (record: AlertRecord) => AlertRecord,
): Promise<AlertRecord | undefined> {
  const changed = await alertsRecord(stores, itemId).upsert((stored) => {
    const found = withRule(stored);
    return found === undefined ? stored : change(found);
  });
  return withRule(changed);
}

/**
 * A change by an operator. The contents of a damaged record are lost, so the new one begins as if an alert had just
 * started a failover: in doubt none starts.
 */
async function changeStored(
  { stores, clock }: AlertRuleContext,
  itemId: string,
  change: (found: StoredAlerts | undefined) => StoredAlerts | undefined,
): Promise<void> {
  await alertsRecord(stores, itemId).upsert(change, () => ({
    version: 1,
    itemId,
    rule: undefined,
    history: { decisions: [], lastFiredMs: clock.now() },
    pending: undefined,
  }));
}

function alertsRecord(stores: ItemStores, itemId: string): RecordAt<StoredAlerts> {
  return recordAt<StoredAlerts>(stores.records(itemId), {
    name: ALERT_RECORD,
    version: 1,
    fault: (record) =>
      record.itemId === undefined || record.itemId === itemId ? undefined : "is that of something else",
  });
}

function withRule(record: StoredAlerts | undefined): AlertRecord | undefined {
  return record !== undefined && hasRule(record) ? record : undefined;
}

const hasRule = (record: StoredAlerts): record is AlertRecord => record.rule !== undefined;

function requireRule({ targetIds, severities, coolDownMs }: AlertRule): void {
  requireField(
    targetIds.length >= 1 && targetIds.length <= ALERT_TARGETS_MAX_COUNT,
    "targetIds",
    `1 to ${ALERT_TARGETS_MAX_COUNT} resources`,
  );
  const wrong = targetIds.find((id) => !/^\/subscriptions\/[^/]+/i.test(id) || id.length > RESOURCE_ID_MAX_LENGTH);
  requireField(wrong === undefined, "targetIds", "full ids of Azure resources, as alerts name them");
  requireField(
    severities.length >= 1,
    "severities",
    "at least one; alerts of the activity log and of resource health have Sev4",
  );
  requireField(
    coolDownMs === undefined ||
      (Number.isSafeInteger(coolDownMs) && coolDownMs >= 0 && coolDownMs <= ALERT_COOL_DOWN_MAX_MS),
    "coolDownMs",
    `0 to ${ALERT_COOL_DOWN_MAX_MS / 3_600_000} hours`,
  );
}
