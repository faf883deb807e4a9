import { z } from "zod";
import { DURABLE_CUSTOM_STATUS_MAX_BYTES } from "../../../limits.ts";
import type { Outcome } from "../../invocation.ts";
import type { FailureDetails } from "../history.ts";
import { type Action, parseAction } from "./actions.ts";

/** The orchestrator's answer in one episode. */
export type Answer =
  /** Not the protocol: the instance fails at once. */
  | { readonly kind: "broken"; readonly reason: string }
  | {
      readonly kind: "state";
      readonly actions: readonly Action[];
      readonly end: Ending | undefined;
      /** JSON text. */
      readonly customStatus: string | null;
    };

/** How the orchestrator's code ended; the instance ends when its actions have ended too. */
export type Ending =
  | { readonly kind: "returned"; readonly output: string | null }
  | { readonly kind: "threw"; readonly error: string; readonly failureDetails: FailureDetails | undefined };

/** Precedes the state of an orchestrator that throws. */
const LABEL = "\n\n$OutOfProcData$:";

const stateSchema = z.object({
  isDone: z.boolean(),
  actions: z.tuple([z.array(z.unknown())]),
  output: z.unknown().optional(),
  error: z.string().optional(),
  customStatus: z.unknown().optional(),
  failureDetails: z
    .object({
      ErrorType: z.string(),
      ErrorMessage: z.string(),
      StackTrace: z.string().optional(),
      IsNonRetriable: z.boolean(),
      Properties: z.unknown().optional(),
      InnerFailure: z.unknown().optional(),
    })
    .optional(),
});

/** Reads the SDK's answer: the return value, or the text after the label in the error's message. */
export function readAnswer(outcome: Outcome): Answer {
  if (outcome.kind === "succeeded") return readState(outcome.response.returnValue?.json, false);
  const message = outcome.error instanceof Error ? outcome.error.message : String(outcome.error);
  const at = message.indexOf(LABEL);
  return at < 0 ? { kind: "broken", reason: message } : readState(message.slice(at + LABEL.length), true);
}

function readState(text: string | undefined, hasThrown: boolean): Answer {
  try {
    const state = stateSchema.parse(JSON.parse(text ?? "null"));
    const customStatus = encode(state.customStatus ?? undefined);
    if (customStatus !== null && customStatus.length * 2 > DURABLE_CUSTOM_STATUS_MAX_BYTES) {
      return { kind: "broken", reason: "The size of the custom status exceeds 16 KB of UTF-16 JSON text." };
    }
    return { kind: "state", actions: state.actions[0].map(parseAction), end: endOf(state, hasThrown), customStatus };
  } catch (error) {
    return {
      kind: "broken",
      reason:
        error instanceof z.ZodError ? `The orchestrator answered in an unknown form: ${error.message}` : String(error),
    };
  }
}

function endOf(state: z.infer<typeof stateSchema>, hasThrown: boolean): Ending | undefined {
  // An error without a message leaves no `error`, but the function threw all the same.
  if (hasThrown || state.error !== undefined)
    return { kind: "threw", error: state.error ?? "", failureDetails: state.failureDetails };
  return state.isDone ? { kind: "returned", output: encode(state.output) } : undefined;
}

const encode = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
