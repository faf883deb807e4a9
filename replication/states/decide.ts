import { LeewardError } from "../errors.ts";
import { REFUSALS, type RefusalReason } from "./refusals.ts";
import {
  type Flow,
  ITEM_STATES,
  type ItemState,
  OPERATIONS,
  type Operation,
  type Outcome,
  type ReplicationFact,
} from "./states.ts";
import { TRANSITIONS } from "./table.ts";
import { WORDS } from "./words.ts";

/** The item's state as its record holds it. Only these functions change it; it is stored by compare-and-set. */
export interface Situation {
  readonly state: ItemState;
  /** Where the machine that users work with runs. */
  readonly activeLocation: "Primary" | "Recovery";
  /** The kind of the failover that is running, waits for its commit or was committed. */
  readonly failover: "Planned" | "Unplanned" | undefined;
  /** The job of the running flow; undefined in every state that no job ends. */
  readonly job: { readonly jobId: string; readonly flow: Flow } | undefined;
}

export const UNPROTECTED: Situation = {
  state: "Unprotected",
  activeLocation: "Primary",
  failover: undefined,
  job: undefined,
};

export type OperationDecision =
  | {
      readonly kind: "started";
      readonly situation: Situation;
      readonly flow: Flow;
      /**
       * The running job that this one takes over from: the new flow ends it, and confirms that, before its own first
       * step.
       */
      readonly endsJobId: string | undefined;
    }
  /**
   * The same job is running already: the request was sent twice. A job that has ended is found by its id in its own
   * record.
   */
  | { readonly kind: "repeated"; readonly situation: Situation }
  | { readonly kind: "refused"; readonly reason: RefusalReason; readonly allowedOperations: readonly Operation[] };

/**
 * Decides on an operator's request. `jobId` comes from the caller's operation id (replication/jobs), so that a repeated
 * request is recognised.
 */
export function decideOperation(situation: Situation, operation: Operation, jobId: string): OperationDecision {
  if (situation.job?.jobId === jobId) return { kind: "repeated", situation };
  const transition = TRANSITIONS[situation.state][operation];
  if (transition.kind !== "start") {
    const reason = transition.kind === "refuse" ? transition.reason : "busy";
    return { kind: "refused", reason, allowedOperations: allowedOperations(situation.state) };
  }
  const { flow } = transition;
  return {
    kind: "started",
    situation: {
      ...enter(situation, transition.next),
      failover: failoverOf(flow) ?? situation.failover,
      job: { jobId, flow },
    },
    flow,
    endsJobId: situation.job?.jobId,
  };
}

/**
 * The end of a job. Only the job that the item waits for counts: a superseded job, or a second report, changes nothing.
 */
export function decideOutcome(situation: Situation, jobId: string, outcome: Outcome): Situation {
  if (situation.job?.jobId !== jobId) return situation;
  const transition = TRANSITIONS[situation.state][outcome];
  return transition.kind === "move" ? enter(situation, transition.next) : situation;
}

/** What replication reports. A fact that changes nothing now is reported again. */
export function decideFact(situation: Situation, fact: ReplicationFact): Situation {
  const transition = TRANSITIONS[situation.state][fact];
  return transition.kind === "move" ? enter(situation, transition.next) : situation;
}

/** Site Recovery's `allowedOperations`, derived from the table. */
export function allowedOperations(state: ItemState): readonly Operation[] {
  return OPERATIONS.filter((operation) => TRANSITIONS[state][operation].kind === "start");
}

/** The refusal as an error for the caller (`operation-not-allowed`). */
export function refusalError(
  itemId: string,
  state: ItemState,
  operation: Operation,
  { reason, allowedOperations: allowed }: Extract<OperationDecision, { kind: "refused" }>,
): LeewardError {
  return new LeewardError(
    "operation-not-allowed",
    `${operation} is not possible now: ${REFUSALS[reason]}`,
    { itemId, state, operation, reason, allowedOperations: allowed.join(", ") },
    {
      hint:
        allowed.length === 0
          ? "Nothing is possible until the running job ends."
          : `Possible now: ${allowed.join(", ")}.`,
    },
  );
}

/** True for text that names a state, because records come from outside. */
export function isItemState(text: string): text is ItemState {
  return ITEM_STATES.some((state) => state === text);
}

/** Entering one of these ends a failover: it was cancelled, re-protected, or the item is gone. */
const FAILOVER_OVER: ReadonlySet<ItemState> = new Set([
  "Unprotected",
  "EnablingProtection",
  "InitialReplicationInProgress",
  "Protected",
]);

function enter(situation: Situation, next: ItemState): Situation {
  const place = WORDS[next].activeLocation;
  return {
    state: next,
    activeLocation: place === "unchanged" ? situation.activeLocation : place,
    failover: FAILOVER_OVER.has(next) ? undefined : situation.failover,
    job: undefined,
  };
}

function failoverOf(flow: Flow): Situation["failover"] {
  if (flow === "planned-failover") return "Planned";
  return flow === "unplanned-failover" ? "Unplanned" : undefined;
}
