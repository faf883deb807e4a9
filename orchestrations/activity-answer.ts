import type { LeewardError } from "../replication/errors.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";

export interface ActivityRequest {
  readonly run: FlowRun;
  readonly input: unknown;
}

export type FlowError = Pick<LeewardError, "code" | "message" | "hint" | "retryable"> & {
  /** The delay that Azure asks for. */
  readonly retryAfterMs?: number | undefined;
};

/** What an activity answers. Errors are values, so that their code survives in the history. */
export type ActivityAnswer<Output> =
  | { readonly kind: "done"; readonly value: Output }
  | { readonly kind: "failed"; readonly error: FlowError }
  /** Another job has taken the item over: this flow stops. */
  | { readonly kind: "superseded" };
