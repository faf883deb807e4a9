import { createRequire } from "node:module";
import type { OrchestrationContext, OrchestrationHandler } from "durable-functions";
import { type Answer, readAnswer } from "../../../functions-host/durable/replay/answer.ts";
import type { Outcome, InvocationInput } from "../../../functions-host/invocation.ts";

const require = createRequire(import.meta.url);

interface TestingUtils {
  createOrchestrator(handler: OrchestrationHandler): (trigger: unknown, context: unknown) => Promise<unknown>;
  readonly DummyOrchestrationContext: new (name: string, id: string, log: () => void) => OrchestrationContext;
}

/** The SDK's own executor, by an unofficial path: what the real host calls when it runs an orchestrator. */
const utils = require("durable-functions/lib/src/util/testingUtils") as TestingUtils;

/** Runs an orchestrator of the real SDK on what the host would send, and gives back what the host would get. */
export async function invokeOrchestrator(handler: OrchestrationHandler, input: InvocationInput): Promise<Outcome> {
  const trigger: unknown = JSON.parse(input.data.string ?? "null");
  const context = new utils.DummyOrchestrationContext("orchestrator", "invocation", () => undefined);
  try {
    const state = await utils.createOrchestrator(handler)(trigger, context);
    return {
      kind: "succeeded",
      response: { invocationId: "invocation", returnValue: { json: JSON.stringify(state) } },
    };
  } catch (error) {
    return { kind: "failed", error };
  }
}

export async function answerOf(handler: OrchestrationHandler, input: InvocationInput): Promise<Answer> {
  return readAnswer(await invokeOrchestrator(handler, input));
}
