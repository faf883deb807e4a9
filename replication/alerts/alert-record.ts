import { requireField } from "../items/request-rules.ts";
import { ALERT_RECORD } from "../items/names.ts";
import { type FailoverRequest, readManaged } from "../jobs/managed-item.ts";
import { decodeRecord, encodeRecord } from "../items/records.ts";
import { ALERT_COOL_DOWN_MAX_MS, ALERT_TARGETS_MAX_COUNT, RECORD_CHANGES_MAX_TRIES, RESOURCE_ID_MAX_LENGTH } from "../limits.ts";
import { LeewardError } from "../errors.ts";
import type { ItemStores, RecordStore } from "../ports.ts";
import { type AlertHistory, type AlertRule, NO_ALERTS } from "./decide-alert.ts";

/** `alerts.json`: an item's rule, what was decided by it, and the failover that still has to be started. Changed by compare-and-set only. */
export interface AlertRecord {
  readonly version: 1;
  readonly rule: AlertRule;
  readonly history: AlertHistory;
  /** Decided, and not yet known to have been started: the alert's message comes again and starts it, or the sweep does. */
  readonly pending: PendingFailover | undefined;
}

interface PendingFailover {
  readonly alertKey: string;
  readonly operationId: string;
  readonly decidedMs: number;
  /** As it was when it was decided: a rule that changes meanwhile must not make two requests of one operation. */
  readonly request: AlertFailover;
}

/** What an alert asks for. */
export interface AlertFailover extends FailoverRequest {
  readonly operation: "UnplannedFailover";
  /** Written into the job: who asked. */
  readonly alertId: string;
}

/** Undefined for an item without a rule. Errors: `record-corrupt`. */
export async function findAlertRecord(stores: ItemStores, itemId: string): Promise<AlertRecord | undefined> {
  return (await readStored(stores.records(itemId)))?.record;
}

/** Errors: `alert-rule-unknown`, `item-unknown`, `record-corrupt`. */
export async function readAlertRecord(stores: ItemStores, itemId: string): Promise<AlertRecord> {
  const found = await findAlertRecord(stores, itemId);
  if (found !== undefined) return found;
  await readManaged(stores, itemId);
  throw new LeewardError("alert-rule-unknown", `The item "${itemId}" has no alert rule.`, { itemId });
}

/** Takes the rule away, with its history; one that is not there is fine. */
export async function removeAlertRule(stores: ItemStores, itemId: string): Promise<void> {
  await stores.records(itemId).remove(ALERT_RECORD);
}

/** A rule as an operator gives it. */
export type GivenAlertRule = Omit<AlertRule, "targetIds"> & {
  /** Undefined: the item's own VM. */
  readonly targetIds: readonly string[] | undefined;
};

/**
 * Gives the item this rule, and returns it whole; its history stays. Only what has a machine to fail over can have one. Errors: `invalid-request` that
 * names the field, `item-unknown`, `conflict`.
 */
export async function setAlertRule(stores: ItemStores, itemId: string, given: GivenAlertRule): Promise<AlertRule> {
  const { sourceVmId } = await readManaged(stores, itemId);
  const rule: AlertRule = { ...given, targetIds: given.targetIds ?? [sourceVmId] };
  requireRule(rule);
  const records = stores.records(itemId);
  for (let tries = 0; tries < RECORD_CHANGES_MAX_TRIES; tries += 1) {
    const stored = await readStored(records);
    const next: AlertRecord = { version: 1, rule, history: stored?.record.history ?? NO_ALERTS, pending: stored?.record.pending };
    const written =
      stored === undefined
        ? await records.create(ALERT_RECORD, encodeRecord(next))
        : await records.replace(ALERT_RECORD, encodeRecord(next), stored.etag);
    if (written !== undefined) return rule;
  }
  throw new LeewardError("conflict", "The item's alert rule was changed by others all the time.", { itemId });
}

/**
 * Changes the record of an item that has a rule; undefined for one that has none. `change` may be called several times, and gives back the same record when
 * nothing has to be written. Errors: `conflict`, `record-corrupt`.
 */
export async function changeAlertRecord(
  stores: ItemStores,
  itemId: string,
  change: (record: AlertRecord) => AlertRecord,
): Promise<AlertRecord | undefined> {
  const records = stores.records(itemId);
  for (let tries = 0; tries < RECORD_CHANGES_MAX_TRIES; tries += 1) {
    const stored = await readStored(records);
    if (stored === undefined) return undefined;
    const next = change(stored.record);
    if (next === stored.record) return next;
    if ((await records.replace(ALERT_RECORD, encodeRecord(next), stored.etag)) !== undefined) return next;
  }
  throw new LeewardError("conflict", "The item's alerts were changed by others all the time.", { itemId });
}

async function readStored(records: RecordStore): Promise<{ readonly record: AlertRecord; readonly etag: string } | undefined> {
  const stored = await records.read(ALERT_RECORD);
  return stored === undefined ? undefined : { record: decodeRecord<AlertRecord>(ALERT_RECORD, 1, stored.bytes), etag: stored.etag };
}

function requireRule({ targetIds, severities, coolDownMs }: AlertRule): void {
  requireField(
    targetIds.length >= 1 && targetIds.length <= ALERT_TARGETS_MAX_COUNT,
    "targetIds",
    `1 to ${ALERT_TARGETS_MAX_COUNT} resources`,
  );
  const wrong = targetIds.find((id) => !/^\/subscriptions\/[^/]+/i.test(id) || id.length > RESOURCE_ID_MAX_LENGTH);
  requireField(wrong === undefined, "targetIds", "full ids of Azure resources, as alerts name them");
  requireField(severities.length >= 1, "severities", "at least one; alerts of the activity log and of resource health have Sev4");
  requireField(
    coolDownMs === undefined || (Number.isSafeInteger(coolDownMs) && coolDownMs >= 0 && coolDownMs <= ALERT_COOL_DOWN_MAX_MS),
    "coolDownMs",
    `0 to ${ALERT_COOL_DOWN_MAX_MS / 3_600_000} hours`,
  );
}
