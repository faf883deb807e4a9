import { createHash } from "node:crypto";
import { mapConcurrently, present } from "../concurrency.ts";
import { hasCode } from "../errors.ts";
import { ALERT_MAX_AGE_MS, POINT_READS_IN_FLIGHT } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import { allItems } from "../records/all-items.ts";
import { type AlertFailover, type AlertRecord, changeAlertRecord, findAlertRecord } from "./alert-record.ts";
import {
  ALERT_REASONS,
  type Alert,
  type AlertDecision,
  alertKey,
  decideAlert,
  rememberAlert,
  watches,
} from "./decide-alert.ts";

/** The flows, as alerts need them. */
export interface FailoverStarter {
  /** Whether the item's state allows an unplanned failover now. */
  isFailoverAllowed(itemId: string): Promise<boolean>;
  /**
   * Starts it, or finds it started: the same operation id is one failover. Errors: `operation-not-allowed`,
   * `item-unknown`, those of the stores.
   */
  startFailover(itemId: string, request: AlertFailover, operationId: string): Promise<void>;
}

export interface AlertContext extends ItemContext {
  readonly failovers: FailoverStarter;
}

/** The outcome of an alert for one item that watches one of its targets. */
export interface AlertResult {
  readonly itemId: string;
  readonly reason: AlertDecision["reason"];
  /** For the operator. */
  readonly message: string;
  /** The failover that was started, or refused because of the state that the item had reached by then. */
  readonly failover: { readonly operationId: string; readonly state: "started" | "refused" } | undefined;
}

/**
 * Decides on an alert for every item that watches one of its targets, and starts the failovers. Safe to run again for
 * the same alert: a decision is recorded before its failover is started, and a repetition within ALERT_MAX_AGE_MS
 * starts what was decided and not begun, under the same operation id. Later it does not: the outage may be over. A
 * failing item does not delay the others; the first failure is thrown at the end. Reads all items: alerts are rare, and
 * the rule of each item is the truth. Errors: those of the stores, `record-corrupt`, `conflict`.
 */
export async function handleAlert(context: AlertContext, alert: Alert): Promise<readonly AlertResult[]> {
  const failures: unknown[] = [];
  const results = await mapConcurrently(POINT_READS_IN_FLIGHT, allItems(context.stores), (itemId) =>
    handleForItem(context, itemId, alert).catch((error: unknown) => {
      failures.push(error);
      return undefined;
    }),
  );
  if (failures.length > 0) throw failures[0];
  return present(results);
}

async function handleForItem(context: AlertContext, itemId: string, alert: Alert): Promise<AlertResult | undefined> {
  const found = await findAlertRecord(context.stores, itemId);
  // Alerts about others are not remembered: they would evict relevant ones.
  if (found === undefined || !watches(found.rule, alert)) return undefined;
  const allowed = await context.failovers.isFailoverAllowed(itemId);
  const nowMs = context.clock.now();
  let decision: AlertDecision | undefined;
  const record = await changeAlertRecord(context.stores, itemId, (before) => {
    decision = decideAlert(alert, before.rule, before.history, allowed, nowMs);
    return decided(before, itemId, alert, decision, nowMs);
  });
  if (record === undefined || decision === undefined) return undefined;
  const { reason } = decision;
  const failover =
    record.pending?.alertKey === alertKey(alert) ? await startPending(context, itemId, record) : undefined;
  return { itemId, reason, message: ALERT_REASONS[reason], failover };
}

function decided(
  before: AlertRecord,
  itemId: string,
  alert: Alert,
  decision: AlertDecision,
  nowMs: number,
): AlertRecord {
  const history = rememberAlert(before.history, alert, decision, nowMs);
  if (!decision.failOver) return history === before.history ? before : { ...before, history };
  const key = alertKey(alert);
  const { point = { kind: "LatestProcessed" }, shutDownSource = false } = before.rule;
  const request: AlertFailover = { operation: "UnplannedFailover", point, shutDownSource, alertId: alert.alertId };
  return {
    ...before,
    history,
    pending: { alertKey: key, operationId: alertOperationId(itemId, key), decidedMs: nowMs, request },
  };
}

/** For the sweep: starts a decided failover whose alert was not redelivered. Errors: those of `startFailover`. */
export async function resumeAlert(context: AlertContext, itemId: string): Promise<AlertResult["failover"]> {
  const found = await findAlertRecord(context.stores, itemId);
  return found === undefined ? undefined : startPending(context, itemId, found);
}

/** Starts the failover that an alert requires, now or after an earlier delivery that did not get so far. */
async function startPending(
  context: AlertContext,
  itemId: string,
  { pending, rule }: AlertRecord,
): Promise<AlertResult["failover"]> {
  if (pending === undefined) return undefined;
  const { operationId, decidedMs, request } = pending;
  // The operator may have disabled the rule meanwhile.
  if (!rule.enabled || rule.mode !== "failover" || context.clock.now() - decidedMs > ALERT_MAX_AGE_MS) return undefined;
  let state: "started" | "refused" = "started";
  try {
    await context.failovers.startFailover(itemId, request, operationId);
  } catch (error) {
    // Another operation began between the check of the state and the start.
    if (!hasCode(error, "operation-not-allowed")) throw error;
    state = "refused";
  }
  await changeAlertRecord(context.stores, itemId, (record) =>
    record.pending?.operationId === operationId ? { ...record, pending: undefined } : record,
  );
  return { operationId, state };
}

/** 32 hex digits: the same alert of the same item is the same operation. `key`: of a decision. */
export function alertOperationId(itemId: string, key: string): string {
  return createHash("sha256").update(`leeward-alert-1\n${itemId}\n${key}`, "utf8").digest("hex").slice(0, 32);
}
