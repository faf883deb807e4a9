import type { HttpFunctionOptions, HttpRequest, InvocationContext } from "@azure/functions";
import type { z } from "zod";
import type { GivenAnswer } from "../../api/check-answer.ts";
import { type BodyOf, type Operation, type ParamsOf, type ReplyOf, paramNames } from "../../api/operation.ts";
import { STATUS_OF_CODE } from "../../api/refusal.ts";
import { LeewardError } from "../../replication/errors.ts";
import {
  BODY_FAULTS_MAX_COUNT,
  BODY_FAULT_MAX_LENGTH,
  ERROR_TEXT_MAX_LENGTH,
  HTTP_BODY_MAX_BYTES,
} from "../../replication/limits.ts";
import { isItemId } from "../../replication/names.ts";
import { describeError, logLine } from "./log.ts";

/** What a handler answers; bodies are JSON. */
interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly location?: string | undefined;
}

/** A request to an operation. */
interface Asked<Op extends Operation> {
  /** The names in the route, empty where the host gives none. */
  readonly params: ParamsOf<Op["route"]>;
  /** Where the previous page ended. */
  readonly after: string | undefined;
  /** The id with which a caller may repeat the request. */
  readonly requestId: string | undefined;
  readonly request: HttpRequest;
  readonly context: InvocationContext;
  /** Reads the body. Errors: `invalid-request` names the field. */
  readonly body: () => Promise<BodyOf<Op>>;
}

/** What serving needs of the application. */
interface Served {
  /** Throws when an answer does not match the contract; undefined: nothing is checked. */
  readonly checkAnswer: ((operation: Operation, answer: GivenAnswer) => void) | undefined;
}

/** The trigger of an operation. The answer parses, makes one call and replies; an error becomes a refusal. */
export function serve<Op extends Operation, const Given extends ReplyOf<Op> & Reply>(
  operation: Op,
  application: () => Served,
  answer: (asked: Asked<Op>) => Promise<Given>,
): HttpFunctionOptions {
  const { body: schema, bodyMaxBytes } = operation;
  const handler = httpHandler((request, context) =>
    answer({
      params: paramsOf(operation, request),
      after: request.query.get("after") ?? undefined,
      requestId: request.headers.get("x-ms-client-request-id") ?? undefined,
      request,
      context,
      // The schema is that of the operation; its type does not show this for a body that may be missing.
      body: async () => (schema && (await bodyOf(request, schema, bodyMaxBytes))) as BodyOf<Op>,
    }),
  );
  return {
    methods: [operation.method],
    authLevel: operation.caller === "operator" ? "function" : "anonymous",
    route: operation.route,
    handler: async (request, context) => {
      const sent = await handler(request, context);
      checkOf(application)?.(operation, { ...sent, body: sent.jsonBody });
      return sent;
    },
  };
}

/** An answer in the types of the Functions model. */
interface Sent {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly jsonBody: unknown;
}

/** Every error becomes `{ error: { code, ... } }`. */
export function httpHandler(
  answer: (request: HttpRequest, context: InvocationContext) => Promise<Reply>,
): (request: HttpRequest, context: InvocationContext) => Promise<Sent> {
  return async (request, context) => {
    try {
      const { status, body, location } = await answer(request, context);
      // Answers carry tokens and grants: no cache between here and the caller may keep them.
      const headers = { "cache-control": "no-store", ...(location === undefined ? {} : { location }) };
      return { status, jsonBody: body, headers };
    } catch (error) {
      return errorReply(error, context);
    }
  };
}

/** If the settings are unusable, the answer has already said so. */
function checkOf(application: () => Served): Served["checkAnswer"] {
  try {
    return application().checkAnswer;
  } catch {
    return undefined;
  }
}

function paramsOf<Op extends Operation>(operation: Op, { params }: HttpRequest): ParamsOf<Op["route"]> {
  // The type is derived from the route, and so are the names.
  return Object.fromEntries(paramNames(operation).map((name) => [name, params[name] ?? ""])) as ParamsOf<Op["route"]>;
}

/** The item of the route. A name that cannot be one belongs to no item. Errors: `item-unknown`. */
export function itemOf({ item: itemId }: { readonly item: string }): string {
  if (!isItemId(itemId))
    throw new LeewardError("item-unknown", `"${itemId}" cannot be the name of a protected item.`, { itemId });
  return itemId;
}

/** The JSON body, parsed by the schema. Errors: `invalid-request` names the field. */
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

/** The JSON body, parsed by the schema that its own fields select. Errors: as `bodyOf`. */
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

/** The HTTP status of an error. */
export const statusOf = ({ code }: LeewardError): number => STATUS_OF_CODE[code];

function errorReply(error: unknown, context: InvocationContext): Sent {
  const known = error instanceof LeewardError ? error : undefined;
  const status = known === undefined ? 500 : statusOf(known);
  // Our own faults go to the log with their place; a caller's mistakes go to the caller only.
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

/** Errors quote the request, which may be as long as a body. */
const cut = (text: string): string =>
  text.length <= ERROR_TEXT_MAX_LENGTH ? text : `${text.slice(0, ERROR_TEXT_MAX_LENGTH - 1)}…`;

function cutFacts(facts: LeewardError["facts"]): LeewardError["facts"] {
  return Object.fromEntries(
    Object.entries(facts).map(([name, fact]) => [name, typeof fact === "string" ? cut(fact) : fact]),
  );
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
    // Lenient decoding would turn a name into a different one.
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
