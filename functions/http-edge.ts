import type { HttpHandler, HttpRequest, HttpResponseInit, InvocationContext } from "@azure/functions";
import type { z } from "zod";
import { type ErrorCode, LeewardError } from "../replication/errors.ts";
import { isItemId } from "../replication/names.ts";
import {
  BODY_FAULTS_MAX_COUNT,
  BODY_FAULT_MAX_LENGTH,
  ERROR_TEXT_MAX_LENGTH,
  HTTP_BODY_MAX_BYTES,
} from "../replication/limits.ts";

/** What a handler answers; bodies are JSON. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Makes a handler of the Functions model from one that parses, makes one call and replies; every error becomes `{
 * error: { code, ... } }`.
 */
export function httpHandler(answer: (request: HttpRequest, context: InvocationContext) => Promise<Reply>): HttpHandler {
  return async (request: HttpRequest, context: InvocationContext): Promise<HttpResponseInit> => {
    try {
      const { status, body, headers } = await answer(request, context);
      // Answers carry tokens and grants: no cache between here and the caller may keep them.
      return { status, jsonBody: body, headers: { "cache-control": "no-store", ...headers } };
    } catch (error) {
      return errorReply(error, context);
    }
  };
}

/** The item of the route. A name that cannot be one belongs to no item. */
export function itemOf(request: HttpRequest): string {
  const itemId = request.params["item"] ?? "";
  if (!isItemId(itemId))
    throw new LeewardError("item-unknown", `"${itemId}" cannot be the name of a protected item.`, { itemId });
  return itemId;
}

/** The id under which a caller may send the same request again. */
export function requestIdOf(request: HttpRequest): string | undefined {
  return request.headers.get("x-ms-client-request-id") ?? undefined;
}

/** The JSON body in the shape of the schema. Errors: `invalid-request` names the field. */
export async function bodyOf<Body>(
  request: HttpRequest,
  schema: z.ZodType<Body>,
  maxBytes = HTTP_BODY_MAX_BYTES,
): Promise<Body> {
  return shaped(parseJson(await textOf(request, maxBytes)), schema);
}

function shaped<Body>(value: unknown, schema: z.ZodType<Body>): Body {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const faults = issues
    .slice(0, BODY_FAULTS_MAX_COUNT)
    .map((issue) =>
      (issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`).slice(
        0,
        BODY_FAULT_MAX_LENGTH,
      ),
    );
  const more = issues.length > faults.length ? `; and ${issues.length - faults.length} more` : "";
  throw new LeewardError("invalid-request", `The body is not what this route takes. ${faults.join("; ")}${more}`);
}

/** The JSON body in the shape of the schema that its own fields choose. Errors: as `bodyOf`. */
export async function bodyOfEither<One, Other>(
  request: HttpRequest,
  field: string,
  withField: z.ZodType<One>,
  without: z.ZodType<Other>,
): Promise<{ readonly kind: "with"; readonly body: One } | { readonly kind: "without"; readonly body: Other }> {
  const value = parseJson(await textOf(request, HTTP_BODY_MAX_BYTES));
  const hasField = typeof value === "object" && value !== null && Object.hasOwn(value, field);
  return hasField
    ? { kind: "with", body: shaped(value, withField) }
    : { kind: "without", body: shaped(value, without) };
}

/** The token of `authorization: Bearer <token>`; the domain checks it. Errors: `not-authorized`. */
export function bearerOf(request: HttpRequest): string {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (token === undefined)
    throw new LeewardError("not-authorized", "The header `authorization: Bearer <item token>` is missing.");
  return token;
}

/**
 * The HTTP status of an error. What is not in the table is 503 when trying again can help, else a fault of ours: 500.
 */
export function statusOf(error: LeewardError): number {
  return STATUS[error.code] ?? (error.retryable ? 503 : 500);
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  "invalid-request": 400,
  "disk-invalid": 400,
  "not-authorized": 401,
  "too-many-requests": 429,
  "item-unknown": 404,
  "point-unknown": 404,
  "restore-unknown": 404,
  "policy-unknown": 404,
  "alert-rule-unknown": 404,
  "mapping-unknown": 404,
  "job-unknown": 404,
  conflict: 409,
  "item-exists": 409,
  "in-use": 409,
  "item-stopped": 409,
  "machine-mismatch": 409,
  "position-fork": 409,
  "session-taken": 409,
  "operation-not-allowed": 409,
  "stream-closed": 409,
  "point-pruned": 410,
  "store-refused": 502,
};

function errorReply(error: unknown, context: InvocationContext): HttpResponseInit {
  const known = error instanceof LeewardError ? error : undefined;
  const status = known === undefined ? 500 : statusOf(known);
  // Faults of ours go to the log with their place; what the caller did wrong goes to the caller only.
  if (status >= 500)
    context.error(logLine("request-failed", { function: context.functionName, status, ...describeError(error) }));
  const reported = known ?? new LeewardError("internal", "The request could not be answered.");
  return {
    status,
    headers: { "cache-control": "no-store", ...retryAfter(status, reported) },
    jsonBody: {
      error: {
        code: reported.code,
        message: cut(reported.message),
        hint: reported.hint,
        facts: cutFacts(reported.facts),
      },
    },
  };
}

/** In whole seconds. */
function retryAfter(status: number, { facts: { retryAfterMs } }: LeewardError): Readonly<Record<string, string>> {
  if (status === 503) return { "retry-after": "5" };
  return status === 429 && typeof retryAfterMs === "number"
    ? { "retry-after": String(Math.ceil(retryAfterMs / 1000)) }
    : {};
}

/** Errors quote what was asked for, and that may be as long as a body. */
const cut = (text: string): string =>
  text.length <= ERROR_TEXT_MAX_LENGTH ? text : `${text.slice(0, ERROR_TEXT_MAX_LENGTH - 1)}…`;

function cutFacts(facts: LeewardError["facts"]): LeewardError["facts"] {
  return Object.fromEntries(
    Object.entries(facts).map(([name, fact]) => [name, typeof fact === "string" ? cut(fact) : fact]),
  );
}

/** One structured line for the log. Facts of LeewardErrors carry no secret (rule 8). */
export function logLine(event: string, facts: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ event, ...facts });
}

/** What the log keeps of an error: never its `cause`, which may hold a request with its headers. */
export function describeError(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof LeewardError) return { code: error.code, message: error.message, facts: error.facts };
  return error instanceof Error
    ? { code: "internal", message: error.message, stack: error.stack }
    : { code: "internal", message: String(error) };
}

/** The body's text, read only as far as the limit. */
async function textOf(request: HttpRequest, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    lengthBytes += chunk.length;
    if (lengthBytes > maxBytes) {
      throw new LeewardError("invalid-request", `A body has at most ${maxBytes} bytes.`, { maxBytes });
    }
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    // Decoded leniently, a name would be taken as another one than was sent.
    throw new LeewardError("invalid-request", "The body is not valid UTF-8.");
  }
}

function parseJson(text: string): unknown {
  if (text.trim() === "")
    throw new LeewardError("invalid-request", "This route takes a JSON body, and the request has none.");
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold a token.
    throw new LeewardError("invalid-request", "The body is not valid JSON.");
  }
}
