import type * as z from "zod";

/**
 * One operation of the HTTP API: everything a caller can know about it. The function app registers its triggers from
 * it; the client and `docs/openapi.json` are derived from it.
 */
export interface Operation {
  readonly method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  /** Below `/api/`. Names in braces are given by the caller. */
  readonly route: string;
  readonly caller: Caller;
  /** One sentence. */
  readonly summary: string;
  /** JSON. Undefined: the body is not read. */
  readonly body?: z.ZodType;
  /** HTTP_BODY_MAX_BYTES by default. */
  readonly bodyMaxBytes?: number;
  /** Successful answers by status. A refusal is `refusalBody` with the status of its code (`api/refusal.ts`). */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Repeating the `x-ms-client-request-id` starts nothing new and gets the same answer. */
  readonly repeatable?: true;
  /** One page at a time: `?after=` takes the `next` of the previous page. */
  readonly paged?: true;
}

/**
 * `operator`: any holder of a function key, in `x-functions-key` or `?code=`. `item-token`: the mobility service of the
 * item, by `authorization: Bearer <ticket>.<item token>`. `registration-token`: the service too, by the token in the
 * body.
 */
type Caller = "operator" | "item-token" | "registration-token";

/** One answer of an operation. */
interface Answer {
  readonly description: string;
  /** JSON. Undefined: there is no body. */
  readonly body?: z.ZodType;
  /** The header `Location` is where to poll a long-running request. */
  readonly location?: true;
}

/** The names in a route: `a/{item}/b` has `item`. */
export type ParamsOf<Route extends string> = Route extends `${string}{${infer Name}}${infer Rest}`
  ? { readonly [Key in Name]: string } & ParamsOf<Rest>
  : unknown;

/** An operation's successful answers, one form for each status. */
export type ReplyOf<Asked extends Operation> = {
  readonly [Status in keyof Asked["answers"] & number]: {
    readonly status: Status;
    readonly body: AnswerBody<Asked["answers"][Status]>;
  } & (Asked["answers"][Status] extends { readonly location: true }
    ? { readonly location: string }
    : { readonly location?: undefined });
}[keyof Asked["answers"] & number];

/** What a schema of an answer describes. */
export type Told<Schema extends z.ZodType> = DeepReadonly<z.output<Schema>>;

/** The body as the operation reads it, defaults filled in. */
export type BodyOf<Asked extends Operation> = Asked extends { readonly body: infer Schema extends z.ZodType }
  ? z.output<Schema>
  : undefined;

/** The body as a caller sends it. */
export type SentBody<Asked extends Operation> = Asked extends { readonly body: infer Schema extends z.ZodType }
  ? DeepReadonly<z.input<Schema>>
  : undefined;

/** The names in the route of an operation, in order. */
export function paramNames({ route }: Operation): readonly string[] {
  return [...route.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
}

type AnswerBody<Given extends Answer> = Given extends { readonly body: infer Schema extends z.ZodType }
  ? Told<Schema>
  : undefined;

type DeepReadonly<Value> = Value extends readonly (infer Each)[]
  ? readonly DeepReadonly<Each>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> }
    : Value;
