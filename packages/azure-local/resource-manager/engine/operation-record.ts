import type { JsonObject } from "./json.ts";

interface OperationError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details?: readonly JsonObject[];
}

/**
 * How to follow a long-running operation: the headers of its 202 or 201 (Azure: "Track asynchronous Azure operations").
 */
export type LongRunningForm =
  /** `Azure-AsyncOperation`: answers 200 with a status in the body. */
  | "async-operation"
  /** `Location`: answers 202 until it is done, then the result; a failure is an error answer. */
  | "location"
  /** The client may follow either. */
  | "async-operation-and-location"
  /** Done when answered. */
  | "none";

/** One long-running operation, kept until decided and a while longer. */
export interface OperationRecord {
  readonly id: string;
  readonly resourceId: string;
  readonly resourceKey: string;
  /** Operations with the same lock never run at the same time. */
  readonly lock: string;
  readonly type: string;
  /** "put", "delete" or the name of an action. */
  readonly verb: string;
  readonly form: LongRunningForm;
  readonly subscriptionId: string;
  readonly region: string;
  readonly startMs: number;
  /** Not decided before. */
  readonly dueMs: number;
  readonly endMs?: number;
  readonly status: "InProgress" | "Succeeded" | "Failed";
  /** The request's input, where the work needs it. */
  readonly input?: JsonObject;
  /** A failure ordered earlier: the work is not done. */
  readonly failure?: OperationError;
  /** How its work ended, if any; undefined while it runs. */
  readonly outcome?:
    | { readonly kind: "done"; readonly result?: JsonObject | undefined }
    | { readonly kind: "failed"; readonly error: OperationError };
  readonly error?: OperationError;
  readonly result?: JsonObject;
}

export type { OperationError };
