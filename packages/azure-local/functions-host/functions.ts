import type { z } from "zod";
import { LocalError } from "../errors.ts";
import type { RegisteredFunction } from "./core.ts";
import { foreignMember, isClientBinding } from "./durable/client-binding.ts";
import type { HostFunction } from "./host-function.ts";
import type { TriggerKind } from "./trigger.ts";

/** A function and the kind of trigger that fires it. */
export interface CheckedFunction {
  readonly hostFunction: HostFunction;
  readonly kind: TriggerKind;
}

/**
 * Finds the trigger of a registered function and refuses every binding the local host lacks, naming function and
 * binding.
 */
export function checkFunction(registered: RegisteredFunction, kinds: readonly TriggerKind[]): CheckedFunction {
  const { metadata } = registered;
  checkName(metadata.name);
  const bindings = Object.entries(metadata.bindings);
  const triggers = bindings.filter(([, binding]) => /trigger$/i.test(binding.type));
  const [only] = triggers;
  if (only === undefined || triggers.length > 1) {
    throw new LocalError(
      "configuration-invalid",
      `Function ${metadata.name} has ${triggers.length} triggers instead of one.`,
      {
        function: metadata.name,
      },
    );
  }
  const [triggerKey, trigger] = only;
  const kind = kinds.find((candidate) => candidate.type === trigger.type.toLowerCase());
  if (kind === undefined) throw refused(metadata.name, trigger.type);
  for (const [key, binding] of bindings) {
    if (key === triggerKey) {
      if (isDeferred(binding["properties"])) throw refused(metadata.name, `${binding.type} with sdkBinding`);
    } else if (isClientBinding(binding)) {
      const member = foreignMember(binding);
      if (member !== undefined) throw refused(metadata.name, `${binding.type} with ${member}`);
    } else if (binding.direction !== "out") {
      throw refused(metadata.name, `${binding.type} (input)`);
    } else if (!kind.outputTypes.includes(binding.type.toLowerCase())) {
      throw refused(metadata.name, `${binding.type} (output)`);
    }
  }
  if (metadata.retryOptions !== undefined && metadata.retryOptions !== null) throw refused(metadata.name, "retry");
  return { hostFunction: { ...registered, name: metadata.name, triggerKey, trigger }, kind };
}

/** The real host's rule (Utility.ValidateName). */
function checkName(name: string): void {
  if (/^[a-z][a-z0-9_-]{0,127}$/i.test(name) && name.toLowerCase() !== "host") return;
  throw new LocalError(
    "configuration-invalid",
    `'${name}' is not a valid function name.`,
    { function: name },
    { hint: "A name begins with a letter, has at most 128 letters, digits, _ and -, and is not host." },
  );
}

/** The members of a trigger binding; `configuration-invalid` names the function and the wrong member. */
export function parseTrigger<T>(schema: z.ZodType<T>, hostFunction: HostFunction): T {
  const result = schema.safeParse(hostFunction.trigger);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = `${hostFunction.trigger.type}.${(issue?.path ?? []).map(String).join(".")}`;
  throw new LocalError(
    "configuration-invalid",
    `Function ${hostFunction.name}: ${place}: ${issue?.message ?? "wrong"}.`,
    {
      function: hostFunction.name,
    },
  );
}

function isDeferred(properties: unknown): boolean {
  return (
    typeof properties === "object" &&
    properties !== null &&
    "supportsDeferredBinding" in properties &&
    properties.supportsDeferredBinding === "true"
  );
}

function refused(functionName: string, binding: string): LocalError {
  return new LocalError(
    "not-supported",
    `Function ${functionName} uses ${binding}, which the local Functions host does not offer.`,
    {
      function: functionName,
      binding,
    },
  );
}
