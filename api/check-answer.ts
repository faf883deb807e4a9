import { isDeepStrictEqual } from "node:util";
import type { Operation } from "./operation.ts";
import { STATUS_OF_CODE, refusalBody } from "./refusal.ts";

/** An answer as it leaves the function app. */
export interface GivenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/**
 * Throws when an answer violates the contract, and names the place but no value: an undescribed field is as wrong as a
 * missing one.
 */
export function requireDescribed(operation: Operation, { status, headers, body }: GivenAnswer): void {
  // As the caller gets it: undefined fields are left out.
  const sent: unknown = body === undefined ? undefined : JSON.parse(JSON.stringify(body));
  if (status >= 400) return requireRefusal(operation, status, sent);
  const answer = operation.answers[status];
  if (answer === undefined) throw wrong(operation, `the status ${status} is not in the contract`);
  if ((headers["location"] !== undefined) !== (answer.location === true))
    throw wrong(operation, answer.location === true ? "Location is missing" : "Location is not in the contract");
  if (answer.body === undefined) {
    if (sent !== undefined) throw wrong(operation, `${status} has no body`);
    return;
  }
  const parsed = answer.body.safeParse(sent);
  if (!parsed.success) throw wrong(operation, `${status}: ${places(parsed.error.issues)}`);
  // Parsing drops what the schema does not know.
  if (!isDeepStrictEqual(withoutUndefined(parsed.data), sent))
    throw wrong(operation, `${status} says more than the contract`);
}

function requireRefusal(operation: Operation, status: number, sent: unknown): void {
  const parsed = refusalBody.safeParse(sent);
  if (!parsed.success) throw wrong(operation, `${status}: ${places(parsed.error.issues)}`);
  if (!isDeepStrictEqual(parsed.data, sent)) throw wrong(operation, `${status} says more than a refusal`);
  const { code } = parsed.data.error;
  if (Object.entries(STATUS_OF_CODE).every(([known, its]) => known !== code || its !== status))
    throw wrong(operation, `${code} is not answered with ${status}`);
}

const places = (issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]): string =>
  issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");

const withoutUndefined = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function wrong({ method, route }: Operation, fault: string): Error {
  return new Error(`The answer to ${method} ${route} is not that of the contract: ${fault}.`);
}
