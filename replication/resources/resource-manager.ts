import type { ErrorCode } from "../errors.ts";

/**
 * A resource, or any other answer of Azure Resource Manager, as its JSON. What Azure adds is kept; read it with
 * `resources/json.ts`.
 */
export type ResourceJson = Readonly<Record<string, unknown>>;

/**
 * Azure Resource Manager as durable flows use it: begin, poll, never wait. A flow begins a change in one activity,
 * waits `retryAfterMs` with a durable timer, polls in another activity, and so on. No method sleeps or retries by
 * itself, and none limits the whole change: the flow does.
 *
 * Every method may run twice, in any process. Errors, for every method: `azure-unavailable` (retryable) when no answer
 * came, or Azure failed inside: a change may have begun then, and beginning it again is right; `azure-not-authorized`;
 * `azure-answer-invalid` when an answer breaks Azure's contract. The facts of an `azure-unavailable` have
 * `retryAfterMs` where a read was throttled. Reads throw all other refusals of Azure; a change returns them as
 * `failed`.
 *
 * The answers of `listKeys` and `beginGetAccess` are secrets (rule 8): an activity uses them and never returns them to
 * its orchestration.
 */
export interface ResourceManager {
  /**
   * The resource, or a view of it such as `{machine id}/instanceView`; undefined when there is none (or no group or
   * parent). Sent once.
   */
  read(id: string): Promise<ResourceJson | undefined>;
  /**
   * All pages of a collection, for example `/subscriptions/{s}/providers/Microsoft.Network/networkInterfaces`, or
   * `{group id}/resources` for everything in a group; empty when its group or parent is missing. `filter` is OData.
   * Errors: `azure-answer-invalid` for more than AZURE_LIST_MAX_PAGES pages.
   */
  list(collection: string, filter?: string): Promise<readonly ResourceJson[]>;
  /**
   * Sends the change once. Idempotent: the same change again has the same end. Not atomic: a resource may be left half
   * made, in state `Failed`.
   */
  begin(change: Change): Promise<Begun>;
  /** Polls a begun change once. `operation` may come from another process and be old. Idempotent. */
  poll(operation: string): Promise<PollResult>;
}

/** An action on an existing resource. */
export type ResourceAction = "start" | "powerOff" | "deallocate" | "beginGetAccess" | "endGetAccess" | "listKeys";

export type Change =
  /**
   * Creates, or replaces what exists by the whole body. With `createOnly` nothing is replaced, as far as Azure honours
   * it: an existing resource answers `busy`, so that the caller reads it again.
   */
  | { readonly kind: "put"; readonly id: string; readonly body: ResourceJson; readonly createOnly?: boolean }
  /**
   * Changes the members that the body names, and leaves the others; `tags` are replaced as a whole. Each type accepts
   * what Azure's PATCH accepts: networks, addresses and interfaces only their tags, subnets nothing. A missing resource
   * fails as `azure-resource-missing`: nothing is created.
   */
  | { readonly kind: "patch"; readonly id: string; readonly body: ResourceJson }
  /** Removing a missing resource succeeds. */
  | { readonly kind: "remove"; readonly id: string }
  | { readonly kind: "act"; readonly id: string; readonly action: ResourceAction; readonly body?: ResourceJson };

export type PollResult =
  /**
   * Verified by a read: after a `put`, a `patch` and actions on machines the resource, seen with provisioningState
   * Succeeded; undefined after a `remove`, when a read no longer found it; the answer of `listKeys` and
   * `beginGetAccess`.
   */
  | { readonly kind: "done"; readonly result: ResourceJson | undefined }
  /**
   * Poll again with this text (up to 8 kB) after that time, 0 when Azure names none. A later poll needs nothing else.
   */
  | { readonly kind: "running"; readonly operation: string; readonly retryAfterMs: number }
  | Failed;

export type Begun =
  | PollResult
  /**
   * Nothing was begun, because Azure throttles or another operation holds the resource: begin again after that time.
   */
  | { readonly kind: "busy"; readonly retryAfterMs: number; readonly azureCode: string; readonly message: string };

/** Azure refused, or the operation failed. What was half made still exists. */
export interface Failed {
  readonly kind: "failed";
  readonly code: ErrorCode;
  /** Azure's own code, for example `AllocationFailed`. */
  readonly azureCode: string;
  readonly message: string;
  /** Beginning the same change again later can help. */
  readonly retryable: boolean;
}
