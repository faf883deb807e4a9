/**
 * Every failure that Leeward can name: a closed code, whether a retry can help, and what the operator should do. Each
 * edge maps codes to its own terms (HTTP status, exit code, NBD errno); no caller parses messages.
 */
const ERRORS = {
  // Storage, as the ports report it.
  "outcome-unknown": {
    retryable: true,
    hint: "The store did not answer in time; the request may still land. The worker claims a new generation before it continues.",
  },
  "store-unavailable": {
    retryable: true,
    hint: "The storage account cannot be reached or is throttling. Check the account, the network and the role assignments.",
  },
  "store-busy": {
    retryable: true,
    hint: "One blob, or the account, was asked for more than Azure gives it in a second. It is asked again after a pause; should this last, give the account fewer disks.",
  },
  "store-refused": {
    retryable: false,
    hint: "The storage account refused the credentials or the request. Check the identity's role assignments and the clock of this machine.",
  },
  fenced: {
    retryable: true,
    hint: "A newer worker has taken over this item; this worker stops. Nothing needs to be done.",
  },
  conflict: { retryable: true, hint: "The record was changed by someone else in between. Read it again and retry." },

  // Delta files (docs/delta-format.md names the rule).
  "delta-corrupt": {
    retryable: false,
    hint: "The file was damaged or forged. It was not applied; the mobility service still holds the epoch and can send it again.",
  },
  "delta-unsupported": {
    retryable: false,
    hint: "The file was written by a newer version. Upgrade the function app before the mobility service.",
  },
  "delta-too-large": {
    retryable: false,
    hint: "A delta holds at most 64 MiB. Lower the epoch size of the mobility service.",
  },
  "delta-foreign": {
    retryable: false,
    hint: "The delta belongs to another item, stream or epoch than its name says. It was quarantined.",
  },
  "position-fork": {
    retryable: false,
    hint: "The delta does not start where the target stands, so two histories exist. Find out which service wrote it, then repair the replication.",
  },
  "position-gap": {
    retryable: true,
    hint: "A later delta is here but the next one is missing. The mobility service keeps it until it is confirmed: check its uplink.",
  },

  // Records in the target account.
  "record-corrupt": {
    retryable: false,
    hint: "A record in the target account fails its checksum. Restore it from the account's soft delete or rebuild the catalog.",
  },

  // Items and requests.
  "invalid-request": { retryable: false, hint: "Correct the request as the message says and send it again." },
  "not-authorized": {
    retryable: false,
    hint: "Send the function key (operators) or the item's own token (mobility service).",
  },
  "machine-mismatch": {
    retryable: false,
    hint: "The item is bound to the machine that registered. A clone of it stays silent. If the machine was moved on purpose, start its mobility service with a new registration token.",
  },
  "session-taken": {
    retryable: true,
    hint: "Another mobility service holds this item's session. Stop one of the two; the other takes over when the first has ended or was silent for a minute.",
  },
  "too-many-requests": {
    retryable: true,
    hint: "More requests than a mobility service needs, or more than the app answers at once. Wait as long as the answer says.",
  },
  "item-unknown": { retryable: false, hint: "List the protected items and check the name." },
  "item-exists": {
    retryable: false,
    hint: "The item exists with other disks. Choose another name or disable the existing item first.",
  },
  "item-stopped": {
    retryable: false,
    hint: "Replication of this item has stopped; its status says why. Recovery points already taken stay usable.",
  },
  "operation-not-allowed": { retryable: false, hint: "The item's allowedOperations say what is possible now." },
  "point-unknown": {
    retryable: false,
    hint: "List the recovery points of the item; the point may have been pruned by retention.",
  },
  "point-pruned": { retryable: false, hint: "Retention is removing this point. Choose a newer one." },
  "restore-unknown": {
    retryable: false,
    hint: "Start a restore of a recovery point; the answer names the address of its status.",
  },
  "policy-unknown": { retryable: false, hint: "List the replication policies and check the name." },
  "alert-rule-unknown": { retryable: false, hint: "Give the item a rule first: PUT .../alertRule (docs/alerts.md)." },
  "mapping-unknown": { retryable: false, hint: "List the network mappings; their names follow from the networks." },
  "in-use": { retryable: false, hint: "Give the items that use it another one first, or disable their replication." },
  "job-unknown": { retryable: false, hint: "List the jobs and check the name." },
  "disk-invalid": { retryable: false, hint: "A disk is a multiple of 512 bytes and at most 8 TiB - 1 MiB." },

  // Mobility service (docs/capture.md).
  "state-locked": {
    retryable: false,
    hint: "Another mobility service uses this state folder. Stop it first, or give each service a folder of its own.",
  },
  "state-corrupt": {
    retryable: false,
    hint: "The state folder was damaged or belongs to other disks. Restore it, or start the service with an empty state folder and a new registration token, then use repairReplication.",
  },
  "capture-failed": {
    retryable: false,
    hint: "The journal or a disk image could not be written, so no further writes are taken. Check the disk that holds them and restart the service.",
  },
  "resynchronization-required": {
    retryable: true,
    hint: "The guest writes without a log until the waiting deltas have been uploaded to the cache. Check the uplink and the disk of the state folder.",
  },
  "control-unavailable": {
    retryable: true,
    hint: "The function app cannot be reached. Check its address and the network; the service keeps capturing and tries again.",
  },
  "stream-closed": {
    retryable: false,
    hint: "The item was failed over, or has another stream open. The service switches to an open stream by itself; until then it keeps capturing and uploads nothing.",
  },

  // Azure Resource Manager (replication/resources/resource-manager.ts).
  "azure-unavailable": {
    retryable: true,
    hint: "Azure Resource Manager cannot be reached or failed internally. Check Azure's status and the network; the step is retried.",
  },
  "azure-not-authorized": {
    retryable: false,
    hint: "Give the app's identity the role action on the scope that the message names (docs/roles.md lists them), and check that it is in the right tenant.",
  },
  "azure-forbidden": {
    retryable: false,
    hint: "A policy, a lock or the state of the subscription forbids this. Change that, or choose names, places or tags that the policy allows.",
  },
  "azure-quota-exceeded": {
    retryable: false,
    hint: "Ask for more quota in the region that the message names, or choose a smaller size.",
  },
  "azure-size-unavailable": {
    retryable: false,
    hint: "The size is not offered to this subscription in this place. Choose another one.",
  },
  "azure-no-capacity": {
    retryable: true,
    hint: "Azure has no capacity for this size here at the moment. Try again, or choose another size, zone or availability set.",
  },
  "azure-resource-missing": {
    retryable: false,
    hint: "Something that the step needs is gone. Find out who removed it, then make a new plan.",
  },
  "azure-resource-conflict": {
    retryable: false,
    hint: "Another resource has the name or address, or still uses this one. Choose another name, or remove the other resource.",
  },
  "azure-refused": { retryable: false, hint: "Azure refused the request; the message is Azure's own." },
  "azure-answer-invalid": {
    retryable: false,
    hint: "Azure's answer does not match its contract. Please report it with the facts.",
  },

  // Events out (replication/events/publisher.ts).
  "events-unavailable": {
    retryable: true,
    hint: "The Event Grid topic cannot be reached. Replication does not need it; waiting events are published when it is back.",
  },
  "events-refused": {
    retryable: false,
    hint: "The Event Grid topic refused. Check its address, its key or the identity's role (EventGrid Data Sender), and that it takes the Event Grid schema.",
  },

  // Configuration and machine.
  "configuration-invalid": { retryable: false, hint: "Correct the setting that the message names." },
  "port-in-use": {
    retryable: false,
    hint: "Stop the program that uses the port, or choose another one with the option that the message names.",
  },
  "not-supported": {
    retryable: false,
    hint: "The local cloud does not offer this. docs/azure-differences.md lists what it offers.",
  },
  internal: { retryable: false, hint: "This is a fault in Leeward. Please report it with the log." },
} as const;

export type ErrorCode = keyof typeof ERRORS;
export type ErrorFacts = Readonly<Record<string, string | number | boolean | undefined>>;

/** True when `text`, which came from outside, is one of the closed codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** True when the failure can pass by itself, so that a retry may succeed. */
export const isRetryable = (code: ErrorCode): boolean => ERRORS[code].retryable;

/** The one error class: `code` decides, `facts` inform, `hint` says what to do next. */
export class LeewardError extends Error {
  override readonly name = "LeewardError";
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;
  readonly hint: string;
  readonly retryable: boolean;

  constructor(
    code: ErrorCode,
    message: string,
    facts: ErrorFacts = {},
    options: { readonly cause?: unknown; readonly hint?: string } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.facts = facts;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.retryable = isRetryable(code);
  }
}

/** True when `error` is a LeewardError with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is LeewardError {
  return error instanceof LeewardError && codes.includes(error.code);
}

/** Any failure as a LeewardError: anything else is a fault in Leeward (`internal`). */
export function asLeewardError(error: unknown): LeewardError {
  if (error instanceof LeewardError) return error;
  return new LeewardError("internal", error instanceof Error ? error.message : String(error), {}, { cause: error });
}

/** Holds in every build: a broken assumption stops the work instead of damaging a disk. */
export function invariant(holds: boolean, message: string, facts: ErrorFacts = {}): asserts holds {
  if (!holds) throw new LeewardError("internal", `Broken assumption: ${message}`, facts);
}
