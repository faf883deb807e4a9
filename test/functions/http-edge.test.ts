import type { HttpFunctionOptions } from "@azure/functions";
import { describe, expect, it } from "vitest";
import { httpHandler, statusOf } from "../../functions/serving/http-edge.ts";
import { describeError } from "../../functions/serving/log.ts";
import { type ErrorCode, LeewardError } from "../../replication/errors.ts";
import { call } from "./app-under-test.ts";

const throwing = (error: unknown): HttpFunctionOptions => ({
  handler: httpHandler(() => Promise.reject(error)),
});

describe("httpHandler", () => {
  it("answers a LeewardError with its code, message, hint and facts", async () => {
    const error = new LeewardError(
      "point-unknown",
      "There is no such point.",
      { pointId: "p" },
      { cause: new Error("CAUSE") },
    );
    const answer = await call(throwing(error), {});
    expect(answer).toMatchObject({
      status: 404,
      body: {
        error: { code: "point-unknown", message: "There is no such point.", hint: error.hint, facts: { pointId: "p" } },
      },
    });
    expect(JSON.stringify(answer)).not.toContain("CAUSE");
    expect(answer.lines).toEqual([]);
  });

  it("rule 9: quotes no more of a request than a person reads", async () => {
    const name = "x".repeat(50_000);
    const answer = await call(
      throwing(new LeewardError("policy-unknown", `There is no policy "${name}".`, { policy: name, count: 1 })),
      {},
    );
    const { message, facts } = (answer.body as { error: { message: string; facts: { policy: string; count: number } } })
      .error;
    expect([message.length, facts.policy.length, facts.count]).toEqual([4096, 4096, 1]);
  });

  it("says when to come back if trying again can help, and logs that", async () => {
    const answer = await call(throwing(new LeewardError("outcome-unknown", "No answer.")), {});
    expect(answer).toMatchObject({
      status: 503,
      headers: { "retry-after": "5" },
      body: { error: { code: "outcome-unknown" } },
    });
    expect(answer.lines).toEqual([expect.stringContaining('"outcome-unknown"')]);
  });

  it("rule 8: keeps what it does not know to itself and to the log", async () => {
    const answer = await call(throwing(new Error("the key is hunter2")), {});
    expect(answer).toMatchObject({
      status: 500,
      body: { error: { code: "internal", message: "The request could not be answered." } },
    });
    expect(JSON.stringify(answer.body)).not.toContain("hunter2");
    expect(answer.lines).toHaveLength(1);
  });
});

describe("statusOf", () => {
  it.each([
    ["invalid-request", 400],
    ["not-authorized", 401],
    ["item-unknown", 404],
    ["item-exists", 409],
    ["stream-closed", 409],
    ["point-pruned", 410],
    ["store-refused", 502],
    ["store-unavailable", 503],
    ["fenced", 503],
    ["record-corrupt", 500],
    ["internal", 500],
  ] as const satisfies readonly (readonly [ErrorCode, number])[])("%s is %i", (code, status) => {
    expect(statusOf(new LeewardError(code, "test"))).toBe(status);
  });
});

describe("describeError", () => {
  it("rule 8: leaves out the cause, which may hold a request with its headers", () => {
    const error = new LeewardError(
      "store-refused",
      "Refused.",
      { status: 403 },
      { cause: { headers: "SharedKey SECRET" } },
    );
    expect(JSON.stringify(describeError(error))).not.toContain("SECRET");
    expect(describeError("text")).toMatchObject({ code: "internal", message: "text" });
  });
});
