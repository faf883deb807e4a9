import { describe, expect, it } from "vitest";
import { ACTIVITY_TRIGGER, ORCHESTRATION_TRIGGER } from "../../functions-host/durable/triggers.ts";
import { checkFunction } from "../../functions-host/functions.ts";
import { HTTP_TRIGGER } from "../../functions-host/http/trigger.ts";
import { QUEUE_TRIGGER } from "../../functions-host/queue/trigger.ts";
import type { Binding, FunctionMetadata } from "../../functions-host/rpc.ts";
import { TIMER_TRIGGER } from "../../functions-host/timer/trigger.ts";

const KINDS = [HTTP_TRIGGER, TIMER_TRIGGER, QUEUE_TRIGGER, ORCHESTRATION_TRIGGER, ACTIVITY_TRIGGER];
const register = (bindings: Readonly<Record<string, Binding>>, more: Partial<FunctionMetadata> = {}) => ({
  id: "work",
  metadata: { name: "work", bindings, ...more },
  callback: () => undefined,
});
const input = (type: string, more: Readonly<Record<string, unknown>> = {}): Binding => ({
  type,
  direction: "in",
  ...more,
});
const output = (type: string): Binding => ({ type, direction: "out" });

describe("the check of a function", () => {
  it("finds the trigger by its type, whatever the key and the case", () => {
    const { hostFunction, kind } = checkFunction(
      register({ a1: input("HTTPTRIGGER"), $return: output("Http") }),
      KINDS,
    );
    expect([hostFunction.triggerKey, kind]).toEqual(["a1", HTTP_TRIGGER]);
  });

  it.each(["blobTrigger", "eventGridTrigger", "serviceBusTrigger", "entityTrigger", "neverHeardTrigger"])(
    "refuses %s, naming function and binding",
    (type) => {
      expect(() => checkFunction(register({ t: input(type) }), KINDS)).toThrow(
        expect.objectContaining({ code: "not-supported", facts: { function: "work", binding: type } }),
      );
    },
  );

  it.each([
    [
      "an output to a queue",
      { t: input("httpTrigger"), $return: output("http"), q: output("queue") },
      "queue (output)",
    ],
    ["a return to a queue", { t: input("timerTrigger"), $return: output("queue") }, "queue (output)"],
    ["an HTTP answer to a queue message", { t: input("queueTrigger"), $return: output("http") }, "http (output)"],
    ["an output of an activity", { t: input("activityTrigger"), $return: output("queue") }, "queue (output)"],
    [
      "a client of another hub",
      { t: input("httpTrigger"), c: input("durableClient", { taskHub: "Other" }) },
      "durableClient with taskHub",
    ],
    ["an input from a blob", { t: input("httpTrigger"), b: input("blob") }, "blob (input)"],
    [
      "a deferred binding",
      { t: input("queueTrigger", { properties: { supportsDeferredBinding: "true" } }) },
      "queueTrigger with sdkBinding",
    ],
  ])("refuses %s", (_what, bindings, binding) => {
    expect(() => checkFunction(register(bindings), KINDS)).toThrow(
      expect.objectContaining({ code: "not-supported", facts: { function: "work", binding } }),
    );
  });

  it.each(["9lives", "_work", "with space", "", "a".repeat(129), "host", "Host", "dotted.name", "wörk"])(
    "refuses a function name that Azure refuses: %s",
    (name) => {
      const registered = register({ t: input("timerTrigger") }, { name });
      expect(() => checkFunction(registered, KINDS)).toThrow(
        expect.objectContaining({ code: "configuration-invalid", facts: { function: name } }),
      );
    },
  );

  it.each(["a", "Work-2_b", "hosts", "a".repeat(128)])("takes the function name %s", (name) => {
    expect(checkFunction(register({ t: input("timerTrigger") }, { name }), KINDS).hostFunction.name).toBe(name);
  });

  it.each(["durableClient", "orchestrationClient"])(
    "lets every function have a client of Durable Functions: %s",
    (type) => {
      for (const trigger of ["httpTrigger", "timerTrigger", "queueTrigger", "activityTrigger"]) {
        expect(checkFunction(register({ t: input(trigger), c: input(type) }), KINDS).hostFunction.triggerKey).toBe("t");
      }
    },
  );

  it("refuses retries, which the host would not do", () => {
    expect(() =>
      checkFunction(register({ t: input("timerTrigger") }, { retryOptions: { maxRetryCount: 3 } }), KINDS),
    ).toThrow(expect.objectContaining({ code: "not-supported", facts: { function: "work", binding: "retry" } }));
  });

  it("requires exactly one trigger", () => {
    expect(() => checkFunction(register({ q: output("queue") }), KINDS)).toThrow(/has 0 triggers/);
    expect(() => checkFunction(register({ a: input("httpTrigger"), b: input("timerTrigger") }), KINDS)).toThrow(
      /has 2 triggers/,
    );
  });
});
