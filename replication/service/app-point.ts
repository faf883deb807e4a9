import { REPORTED_REASON_MAX_LENGTH } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import { changeItem } from "../records/item-record.ts";
import type { AppPointState, Progress, ProtectedItem } from "../records/item.ts";
import { isKnownOperation, operationIdOf, withOperation } from "./operations.ts";
import type { HeartbeatRequest } from "./protocol.ts";

/**
 * Requests one app-consistent point now, regardless of the policy. A newer request replaces one that has not begun: one
 * point answers both. With a `requestId` the call can be repeated. Returns the request's id. Errors: `item-unknown`,
 * `invalid-request`, `conflict`.
 */
export async function requestAppPoint(context: ItemContext, itemId: string, requestId?: string): Promise<string> {
  const id = operationIdOf("app-point", itemId, requestId ?? context.ids.next());
  const requestedMs = context.clock.now();
  await changeItem(context.stores, itemId, (item) =>
    isKnownOperation(item, id)
      ? item
      : { ...item, appPointRequest: { id, requestedMs }, operations: withOperation(item, id) },
  );
  return id;
}

/** The outcome of an operator's or the policy's request; undefined when none was ever made. */
export interface AppPointStatus {
  readonly requestId: string;
  readonly state: "Requested" | "InProgress" | "Succeeded" | "Failed";
  readonly requestedMs: number;
  readonly reportedMs: number | undefined;
  readonly reason: string | undefined;
}

export function appPointStatus(item: ProtectedItem, state: AppPointState | undefined): AppPointStatus | undefined {
  const wanted = openRequest(item, state);
  if (wanted !== undefined) {
    return {
      requestId: wanted.id,
      state: "Requested",
      requestedMs: wanted.requestedMs,
      reportedMs: undefined,
      reason: undefined,
    };
  }
  if (state === undefined) return undefined;
  const { requestId, askedMs, outcome } = state;
  const word = outcome === undefined ? "InProgress" : outcome.state === "done" ? "Succeeded" : "Failed";
  return { requestId, state: word, requestedMs: askedMs, reportedMs: outcome?.reportedMs, reason: outcome?.reason };
}

export interface AppPointQuestion {
  readonly item: ProtectedItem;
  readonly state: AppPointState | undefined;
  readonly request: HeartbeatRequest;
  readonly progress: Progress;
  readonly nowMs: number;
  /** The id for a point that the policy requests. */
  readonly newId: string;
}

/**
 * The state after a heartbeat: records its report, and requests the next point if one is wanted or due
 * (docs/mobility-protocol.md, P20 to P23). The answer repeats the request until there is an outcome. A pure function.
 */
export function appPointAfter(question: AppPointQuestion): AppPointState | undefined {
  const { item, request, nowMs } = question;
  const state = withReport(question.state, request, nowMs);
  const asked = state !== undefined && state.outcome === undefined;
  if (asked || !mayFreeze(question)) return state;
  const wanted = openRequest(item, state);
  if (wanted !== undefined) return { requestId: wanted.id, askedMs: nowMs, onDemandId: wanted.id, outcome: undefined };
  const intervalMs = item.policy.appConsistentIntervalMs ?? 0;
  if (intervalMs === 0) return state;
  const passedMs = state === undefined ? Number.POSITIVE_INFINITY : nowMs - state.askedMs;
  // As with crash-consistent points: setting the clock back must not stop them.
  if (passedMs < intervalMs && passedMs > -intervalMs) return state;
  return { requestId: question.newId, askedMs: nowMs, onDemandId: state?.onDemandId, outcome: undefined };
}

function withReport(
  state: AppPointState | undefined,
  { consistency }: HeartbeatRequest,
  nowMs: number,
): AppPointState | undefined {
  if (state === undefined || consistency === undefined) return state;
  if (state.outcome !== undefined || state.requestId !== consistency.requestId) return state;
  const reason = consistency.state === "failed" ? consistency.reason.slice(0, REPORTED_REASON_MAX_LENGTH) : undefined;
  return { ...state, outcome: { state: consistency.state, reason, reportedMs: nowMs } };
}

/** Freezing is useless where no point can result. */
function mayFreeze({ request, progress }: AppPointQuestion): boolean {
  const whole = !progress.seeding && request.seeding === undefined && request.resynchronization === undefined;
  return whole && progress.stopped === undefined && !progress.final && request.ended !== true;
}

function openRequest(item: ProtectedItem, state: AppPointState | undefined): ProtectedItem["appPointRequest"] {
  return item.appPointRequest?.id === state?.onDemandId ? undefined : item.appPointRequest;
}
