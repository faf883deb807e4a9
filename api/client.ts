import * as z from "zod";
import { CONTRACT, type OperationName } from "./contract.ts";
import { type Operation, type ParamsOf, type ReplyOf, type SentBody, paramNames } from "./operation.ts";
import { refusalBody } from "./refusal.ts";

/**
 * The operator's side of the API: a function for each operation of the contract. Errors: `ApiError`, or what
 * `connection.failure` makes of it.
 */
export type Client = {
  readonly [Name in OperatorOperation]: (
    request: RequestOf<(typeof CONTRACT)[Name]>,
  ) => Promise<ReplyOf<(typeof CONTRACT)[Name]>>;
};

interface Connection {
  /** Address of the function app, without `/api`. */
  readonly url: string;
  readonly functionKey: string;
  /** Limit for one request, in milliseconds. Undefined: that of `fetch`. */
  readonly timeoutMs?: number;
  /** Makes the error thrown instead of an ApiError. */
  readonly failure?: (error: ApiError) => Error;
}

/**
 * `refused`: the app refused, with `status` and mostly `code` and `hint`. `unreachable`: no answer came, and the
 * request may have been executed all the same. `unreadable`: the answer violates the contract.
 */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly kind: "refused" | "unreachable" | "unreadable";
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly hint: string | undefined;

  constructor(
    kind: ApiError["kind"],
    message: string,
    facts: { readonly status?: number; readonly code?: string; readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: facts.cause });
    this.kind = kind;
    this.status = facts.status;
    this.code = facts.code;
    this.hint = facts.hint;
  }
}

/** Sends nothing until one of its functions is called, and nothing twice. */
export function createClient(connection: Connection): Client {
  const { failure = (error: ApiError): Error => error } = connection;
  const call = async (operation: Operation, request: Asked): Promise<unknown> => {
    try {
      return await send(connection, operation, request);
    } catch (error) {
      throw error instanceof ApiError ? failure(error) : error;
    }
  };
  const functions = Object.entries(CONTRACT).map(([name, operation]) => [
    name,
    (request: Asked): Promise<unknown> => call(operation, request),
  ]);
  // Each function has the types of its operation: `send` follows the same contract.
  return Object.fromEntries(functions) as Client;
}

type OperatorOperation = {
  [Name in OperationName]: (typeof CONTRACT)[Name]["caller"] extends "operator" ? Name : never;
}[OperationName];

/** The names in the route beside the body, the id of the request and where the previous page ended. */
type RequestOf<Op extends Operation> = ParamsOf<Op["route"]> &
  (Op extends { readonly body: z.ZodType } ? { readonly body: SentBody<Op> } : unknown) &
  (Op extends { readonly repeatable: true } ? { readonly requestId?: string | undefined } : unknown) &
  (Op extends { readonly paged: true } ? { readonly after?: string | undefined } : unknown);

/** A newer app may name a code that this client does not know. */
const refusal = z.object({
  error: refusalBody.shape.error.extend({ code: z.string(), facts: z.unknown().optional() }),
});

type Asked = Readonly<Record<string, unknown>>;

async function send(connection: Connection, operation: Operation, request: Asked): Promise<unknown> {
  const { method } = operation;
  const { body, requestId, after } = request;
  const url = addressOf(connection, operation, request);
  if (typeof after === "string") url.searchParams.set("after", after);
  const answer = await reach(connection, url, {
    method,
    headers: {
      "x-functions-key": connection.functionKey,
      ...(typeof requestId === "string" ? { "x-ms-client-request-id": requestId } : {}),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(connection.timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(connection.timeoutMs) }),
  });
  const what = `${method} ${url.pathname}`;
  const value = parseJson(answer.text);
  if (answer.status >= 400) throw refused(what, answer.status, value);
  const described = operation.answers[answer.status];
  if (described === undefined) throw unreadable(what, `The status ${answer.status} is none of it.`);
  const location = described.location === true ? placeOf(url, what, answer.location) : undefined;
  const told = described.body === undefined ? undefined : bodyOf(described.body, what, value);
  return { status: answer.status, body: told, location };
}

function addressOf({ url }: Connection, operation: Operation, request: Asked): URL {
  const path = paramNames(operation).reduce(
    (route, name) => route.replace(`{${name}}`, encodeURIComponent(String(request[name]))),
    operation.route,
  );
  return new URL(`${url.replace(/\/+$/, "")}/api/${path}`);
}

interface Reached {
  readonly status: number;
  readonly location: string | null;
  readonly text: string;
}

async function reach({ url }: Connection, address: URL, request: RequestInit): Promise<Reached> {
  try {
    const answer = await fetch(address, request);
    return { status: answer.status, location: answer.headers.get("location"), text: await answer.text() };
  } catch (cause) {
    throw new ApiError("unreachable", `The function app at ${url} does not answer.`, { cause });
  }
}

function bodyOf(schema: NonNullable<Operation["answers"][number]["body"]>, what: string, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw unreadable(what, `${places.join("; ")}.`);
}

/** The key is sent to this address next: it must be one of the same app. */
function placeOf(url: URL, what: string, location: string | null): string {
  if (location === null) throw unreadable(what, "Location is missing.");
  const place = new URL(location, url);
  if (place.origin !== url.origin) throw unreadable(what, `It points to another host: ${place.origin}.`);
  return location;
}

function refused(what: string, status: number, value: unknown): ApiError {
  const parsed = refusal.safeParse(value);
  if (!parsed.success) return new ApiError("refused", `${what} was answered with ${status}.`, { status });
  const { code, message, hint } = parsed.data.error;
  return new ApiError("refused", message, { status, code, hint });
}

function unreadable(what: string, fault: string): ApiError {
  return new ApiError("unreadable", `${what} was answered in a shape that this version does not know. ${fault}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
