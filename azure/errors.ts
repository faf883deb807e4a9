import type { RestError } from "@azure/storage-blob";
import { type ErrorFacts, LeewardError } from "../replication/errors.ts";

/**
 * What a failed request may have left behind: a `read` nothing; a `write` perhaps its effect, unless the service itself
 * refused. The whole table below rests on that difference, because after an unknown outcome the worker claims again
 * (rule 3).
 */
export type StoreAccess = "read" | "write";

/**
 * The LeewardError for a failed request to storage. Facts carry status, Azure's own code and its request id; never an
 * address or a header.
 */
export function storageError(
  error: unknown,
  access: StoreAccess,
  operation: string,
  facts: ErrorFacts = {},
): LeewardError {
  if (error instanceof LeewardError) return error;
  // A mistake in our own call is a program error, not the store's.
  if (error instanceof TypeError || error instanceof RangeError) {
    return new LeewardError("internal", `${operation}: ${error.message}`, facts, { cause: error });
  }
  const answered = { ...facts, operation, ...answerOf(error) };
  const text = firstLine(error);
  if (isCredentialFailure(error) || answered.status === 401 || answered.status === 403) {
    return new LeewardError("store-refused", `The storage account refused: ${text}`, answered);
  }
  if (access === "write" && isBusy(error))
    return new LeewardError("store-busy", `The storage account is asked too much at the moment: ${text}`, answered);
  if (answered.status === undefined || answered.status === 408 || answered.status === 429 || answered.status >= 500) {
    return neverSent(error) || access === "read"
      ? new LeewardError("store-unavailable", `The storage account did not answer: ${text}`, answered)
      : new LeewardError("outcome-unknown", `The storage account did not confirm: ${text}`, answered);
  }
  if (answered.storageCode === "SequenceNumberConditionNotMet") {
    return new LeewardError("fenced", `${operation}: the disk belongs to a newer generation.`, answered);
  }
  if (answered.storageCode !== undefined && PASSING.has(answered.storageCode)) {
    return new LeewardError("store-unavailable", `The storage account cannot do this now: ${text}`, answered);
  }
  if (answered.status === 412) return new LeewardError("conflict", `${operation}: ${text}`, answered);
  return new LeewardError("store-refused", `The storage account refused: ${text}`, answered, {
    hint: "The request itself was refused. The facts carry Azure's own code and the request id for support.",
  });
}

/** Runs a read with a time limit and maps its failure. */
export async function reading<Result>(
  operation: string,
  facts: ErrorFacts,
  timeoutMs: number,
  run: (abortSignal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  return running("read", operation, facts, timeoutMs, run);
}

/**
 * Runs a write with a time limit and maps its failure. A time-out is an unknown outcome: the request may still land.
 */
export async function writing<Result>(
  operation: string,
  facts: ErrorFacts,
  timeoutMs: number,
  run: (abortSignal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  return running("write", operation, facts, timeoutMs, run);
}

/** Turns the refusals that `expected` recognizes into undefined; throws every other error. */
export async function unless<Result>(
  expected: (error: unknown) => boolean,
  request: Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await request;
  } catch (error) {
    if (expected(error)) return undefined;
    throw error;
  }
}

/** The blob, snapshot or container does not exist. A HEAD answer has no body, so the status decides. */
export const isMissing = (error: unknown): boolean => answerOf(error).status === 404;

/** The container is missing, so a write to it changed nothing. */
export const isContainerMissing = (error: unknown): boolean => answerOf(error).storageCode === "ContainerNotFound";

/** `If-None-Match: *` found the name taken, even if only by a copy that is still running. */
export const isTaken = (error: unknown): boolean => TAKEN.has(answerOf(error).storageCode);

/** `If-Match`, on the blob or on the source of a copy, found another etag. */
export const isChanged = (error: unknown): boolean => CHANGED.has(answerOf(error).storageCode);

const TAKEN: ReadonlySet<string | undefined> = new Set([
  "BlobAlreadyExists",
  "ConditionNotMet",
  "PendingCopyOperation",
]);
const CHANGED: ReadonlySet<string | undefined> = new Set([
  "ConditionNotMet",
  "SourceConditionNotMet",
  "CopySourceConditionNotMet",
]);

/**
 * Azure refuses these only briefly, and a refusal leaves nothing behind. `Md5Mismatch`: the bytes were damaged on the
 * way.
 */
const PASSING: ReadonlySet<string> = new Set([
  "ContainerBeingDeleted",
  "ContainerBeingDisabled",
  "Md5Mismatch",
  "QueueBeingDeleted",
  "PendingCopyOperation",
]);

/** Throttled: one blob or the account has exceeded its rate. The service does not process such a request. */
const BUSY: ReadonlySet<string | null | undefined> = new Set(["ServerBusy", "SnapshotOperationRateExceeded"]);

/**
 * Only the service's own report, by its own header, counts: a 503 of anything on the way may come after the request has
 * landed.
 */
const isBusy = (error: unknown): boolean =>
  isRestError(error) && BUSY.has(error.response?.headers.get("x-ms-error-code"));

/** No connection was made, so no byte of the request left this machine. */
const NOT_CONNECTED: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"]);

async function running<Result>(
  access: StoreAccess,
  operation: string,
  facts: ErrorFacts,
  timeoutMs: number,
  run: (abortSignal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  try {
    return await run(AbortSignal.timeout(timeoutMs));
  } catch (error) {
    throw storageError(error, access, operation, facts);
  }
}

interface Answer {
  readonly status: number | undefined;
  readonly storageCode: string | undefined;
  readonly requestId: string | undefined;
}

function answerOf(error: unknown): Answer {
  if (!isRestError(error)) return { status: undefined, storageCode: undefined, requestId: undefined };
  return {
    status: error.statusCode,
    storageCode: error.response?.headers.get("x-ms-error-code") ?? error.code,
    requestId: error.response?.headers.get("x-ms-request-id"),
  };
}

// By name, not by class: two copies of the SDK's core may be installed side by side.
function isRestError(error: unknown): error is RestError {
  return error instanceof Error && error.name === "RestError";
}

/** @azure/identity could not get a token: the request to storage was never sent. */
export function isCredentialFailure(error: unknown): boolean {
  return error instanceof Error && /^(Credential|Authentication|AggregateAuthentication)\w*Error$/.test(error.name);
}

function neverSent(error: unknown): boolean {
  return isRestError(error) && error.code !== undefined && NOT_CONNECTED.has(error.code);
}

/** The service appends request id and time on separate lines; facts carry them. */
function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
