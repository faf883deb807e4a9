import type { LeewardError } from "../replication/errors.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";

export interface ActivityRequest {
  readonly run: FlowRun;
  readonly input: unknown;
}

export type FlowError = Pick<LeewardError, "code" | "message" | "hint" | "retryable"> & {
  /** Azure asks to be left alone for so long. */
  readonly retryAfterMs?: number | undefined;
};

/** What an activity answers. Errors are values, so that their code survives the way through a history. */
export type ActivityAnswer<Output> =
  | { readonly kind: "done"; readonly value: Output }
  | { readonly kind: "failed"; readonly error: FlowError }
  /** Another job has taken the item over: this flow stops. */
  | { readonly kind: "superseded" };
