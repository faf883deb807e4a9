/**
 * The reasons for which the local cloud refuses or stops. The set of codes is closed: a caller can handle all. Each
 * says what to do unless the error itself knows better.
 */
const HINTS = {
  /** The app, a request to it or a subscription needs what only Azure has. */
  "not-supported": "The local cloud does not offer this; its documents list what it offers.",
  /** A file, a setting or an option is wrong. */
  "configuration-invalid": "Correct the setting that the message names.",
  /** The request must be changed. */
  "request-invalid": "Correct the request as the message says and send it again.",
  "port-in-use": "Stop the program that uses the port, or choose another one.",
  /** State from an earlier run cannot be read. It is never emptied or repaired by guessing. */
  "state-damaged": "Restore the folder from a copy, or begin with an empty one.",
  /** A bound of `limits.ts` without an answer of its own. */
  "limit-reached": "Remove what is no longer needed.",
  /** A broken assumption. */
  internal: "This is a fault in the local cloud. Please report it with the log.",
} as const;

export type LocalErrorCode = keyof typeof HINTS;
export type LocalErrorFacts = Readonly<Record<string, string | number | boolean | undefined>>;

/** The one error class of the local cloud: `code` decides, `facts` inform, `hint` says what to do next. */
export class LocalError extends Error {
  override readonly name = "LocalError";
  readonly code: LocalErrorCode;
  readonly facts: LocalErrorFacts;
  readonly hint: string;

  constructor(
    code: LocalErrorCode,
    message: string,
    facts: LocalErrorFacts = {},
    options: { readonly cause?: unknown; readonly hint?: string } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.facts = facts;
    this.hint = options.hint ?? HINTS[code];
  }
}

/** True when `error` is a LocalError with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly LocalErrorCode[]): error is LocalError {
  return error instanceof LocalError && codes.includes(error.code);
}

/** Holds in every build: a broken assumption stops the work before it damages stored state. */
export function invariant(holds: boolean, message: string, facts: LocalErrorFacts = {}): asserts holds {
  if (!holds) throw new LocalError("internal", `Broken assumption: ${message}`, facts);
}
