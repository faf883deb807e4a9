import { z } from "zod";

/** What an orchestrator asks for, in the order of its yields. Inputs are JSON text, null for none. */
export type Action =
  | {
      readonly kind: "activity";
      readonly name: string;
      readonly input: string | null;
      readonly retry: Retry | undefined;
    }
  | {
      readonly kind: "child";
      readonly name: string;
      readonly input: string | null;
      readonly instanceId: string | undefined;
      readonly version: string;
      readonly retry: Retry | undefined;
    }
  | { readonly kind: "continue-as-new"; readonly input: string | null }
  | { readonly kind: "timer"; readonly fireAtMs: number; readonly isCanceled: boolean }
  | { readonly kind: "wait"; readonly eventName: string }
  | { readonly kind: "all" | "any"; readonly actions: readonly Action[] }
  /** Not offered here: reaching it fails the instance with this text. */
  | { readonly kind: "refused"; readonly reason: string };

export interface Retry {
  readonly firstIntervalMs: number;
  readonly maxAttempts: number;
  readonly coefficient: number;
  readonly maxIntervalMs: number;
  /** The SDK does not know this limit and would wait for ever; it is ignored with a warning. */
  readonly hasTimeout: boolean;
}

const retryOptions = z
  .object({
    firstRetryIntervalInMilliseconds: z.number(),
    maxNumberOfAttempts: z.number(),
    backoffCoefficient: z.number().nullish(),
    maxRetryIntervalInMilliseconds: z.number().nullish(),
    retryTimeoutInMilliseconds: z.number().nullish(),
  })
  .transform((options): Retry => ({
    firstIntervalMs: options.firstRetryIntervalInMilliseconds,
    maxAttempts: options.maxNumberOfAttempts,
    coefficient: options.backoffCoefficient ?? 1,
    maxIntervalMs: options.maxRetryIntervalInMilliseconds ?? Number.POSITIVE_INFINITY,
    hasTimeout: (options.retryTimeoutInMilliseconds ?? undefined) !== undefined,
  }));

const call = z.object({
  functionName: z.string(),
  input: z.unknown().optional(),
  retryOptions: retryOptions.optional(),
});
const childCall = call.extend({ instanceId: z.string().nullish(), version: z.string().nullish() });
const anyAction = z.object({ actionType: z.coerce.number() });
const withInput = z.object({ input: z.unknown().optional() });
const fireAt = z.iso.datetime().transform((text) => Date.parse(text));
const timer = z.object({ fireAt, isCanceled: z.boolean().default(false) });
const eventWait = z.object({ externalEventName: z.string() });
const compound = z.object({ compoundActions: z.array(z.unknown()) });
const entityCall = z.object({ instanceId: z.string().optional() });

/** The SDK's ActionType numbers; they may come as numeric text. */
const PARSERS: Readonly<Record<number, (value: unknown) => Action>> = {
  0: parseActivity,
  1: parseActivity,
  2: parseChild,
  3: parseChild,
  4: (value) => ({ kind: "continue-as-new", input: encodedInput(withInput.parse(value).input) }),
  5(value) {
    const { fireAt: fireAtMs, isCanceled } = timer.parse(value);
    return { kind: "timer", fireAtMs, isCanceled };
  },
  6: (value) => ({ kind: "wait", eventName: eventWait.parse(value).externalEventName }),
  7: refuseEntity,
  8: () => ({
    kind: "refused",
    reason: "callHttp is not offered by the local Functions host; call an activity that sends the request.",
  }),
  9: refuseEntity,
  10: refuseEntity,
  11: (value) => ({ kind: "any", actions: compound.parse(value).compoundActions.map(parseAction) }),
  12: (value) => ({ kind: "all", actions: compound.parse(value).compoundActions.map(parseAction) }),
};

/** One action of the SDK's answer; throws for a form unknown to this host. */
export function parseAction(value: unknown): Action {
  const { actionType } = anyAction.parse(value);
  const parser = PARSERS[actionType];
  if (parser === undefined)
    throw new Error(`Received an unexpected action type from the out-of-proc function: '${actionType}'.`);
  return parser(value);
}

function parseActivity(value: unknown): Action {
  const { functionName, input, retryOptions: retry } = call.parse(value);
  return { kind: "activity", name: functionName, input: encodedInput(input), retry };
}

function parseChild(value: unknown): Action {
  const { functionName, input, instanceId, version, retryOptions: retry } = childCall.parse(value);
  // Unlike an activity's input, a sub-orchestration's text input is not encoded yet.
  const text = input === undefined ? null : JSON.stringify(input);
  return {
    kind: "child",
    name: functionName,
    input: text,
    instanceId: instanceId ?? undefined,
    version: version ?? "",
    retry,
  };
}

/** No entity function exists here (refused at load), so the real host's answer to an unknown one fits. */
function refuseEntity(value: unknown): Action {
  const name = /^@([^@]+)@/.exec(entityCall.parse(value).instanceId ?? "")?.[1] ?? "";
  const reason = `The function '${name}' doesn't exist, is disabled, or is not an entity function. Additional info: No entity functions are currently registered!`;
  return { kind: "refused", reason };
}

/** The SDK has already encoded text once; everything else is a value. */
function encodedInput(input: unknown): string | null {
  if (input === undefined) return null;
  return typeof input === "string" ? input : JSON.stringify(input);
}
