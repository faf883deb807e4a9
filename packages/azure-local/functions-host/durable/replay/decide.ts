import type { FailureDetails } from "../history.ts";
import type { Answer, Ending } from "./answer.ts";
import { type Decision, type Respelling, type WalkFacts, walk } from "./walk.ts";

/** The result of one episode. */
export type Verdict =
  /** Some external events are awaited in another spelling: respell them in the history and replay. */
  { readonly kind: "respell"; readonly respellings: readonly Respelling[] } | Decided;

export interface Decided {
  readonly kind: "decided";
  readonly decisions: readonly Decision[];
  readonly next: Next;
  /** A retry with a time limit, which the SDK ignores, was scheduled. */
  readonly hasRetryTimeout: boolean;
  /** JSON text; undefined: unchanged. */
  readonly customStatus: string | null | undefined;
}

export type Next =
  | { readonly kind: "wait" }
  | { readonly kind: "complete"; readonly output: string | null }
  | { readonly kind: "fail"; readonly reason: string; readonly failureDetails: FailureDetails | undefined }
  | { readonly kind: "continue-as-new"; readonly input: string | null };

/** History and answer in, decisions out: no clock, no randomness, no I/O. */
export function decide(answer: Answer, facts: Omit<WalkFacts, "actions"> & { readonly functionName: string }): Verdict {
  const prefix = `Orchestrator function '${facts.functionName}' failed: `;
  if (answer.kind === "broken") return failed(prefix + answer.reason);
  const walked = walk({ ...facts, actions: answer.actions });
  if (walked.kind === "failed") {
    return failed(
      walked.reason.startsWith("Non-Deterministic") ? walked.reason : prefix + walked.reason,
      answer.customStatus,
    );
  }
  if (walked.respellings.length > 0) return { kind: "respell", respellings: walked.respellings };
  const { decisions, hasRetryTimeout } = walked;
  const end = walked.isThrough ? answer.end : undefined;
  return {
    kind: "decided",
    decisions,
    hasRetryTimeout,
    customStatus: answer.customStatus,
    next: nextOf(end, walked.continueAsNew, prefix),
  };
}

/** `end` is undefined while the orchestrator, or anything it started, has not ended. */
function nextOf(
  end: Ending | undefined,
  continueAsNew: { readonly input: string | null } | undefined,
  prefix: string,
): Next {
  if (end === undefined) return { kind: "wait" };
  if (end.kind === "threw") return { kind: "fail", reason: prefix + end.error, failureDetails: end.failureDetails };
  if (continueAsNew !== undefined) return { kind: "continue-as-new", input: continueAsNew.input };
  return { kind: "complete", output: end.output };
}

/** The instance fails at once, whatever it started. */
export function failed(reason: string, customStatus?: string | null): Decided {
  const next: Next = { kind: "fail", reason, failureDetails: undefined };
  return { kind: "decided", decisions: [], next, hasRetryTimeout: false, customStatus };
}
