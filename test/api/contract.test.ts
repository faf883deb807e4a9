import { describe, expect, it } from "vitest";
import { CONTRACT, RESOURCES } from "../../api/contract.ts";
import type { Operation } from "../../api/operation.ts";
import { STATUS_OF_CODE } from "../../api/refusal.ts";
import { LeewardError, isErrorCode } from "../../replication/errors.ts";

const operations: readonly (readonly [string, Operation])[] = Object.entries(CONTRACT);

describe("the contract", () => {
  it("has every operation of every resource once", () => {
    const names = Object.values(RESOURCES).flatMap((resource) => Object.keys(resource));
    expect(names.toSorted()).toEqual(operations.map(([name]) => name).toSorted());
  });

  it.each(operations)("%s is said in one sentence; only what goes on after the answer names a place", (_, each) => {
    expect(each.summary).toMatch(/^[A-Z].*\.$/);
    const answers = Object.entries(each.answers);
    for (const [status, { body }] of answers) expect(body === undefined).toBe(status === "204");
    const places = answers.filter(([, { location }]) => location === true).map(([status]) => status);
    expect(["202", ""]).toContain(places.join());
  });

  it("rule 8: whoever speaks without a function key speaks of one item", () => {
    for (const [, { caller, route }] of operations)
      expect([caller === "operator", route]).toEqual([!route.startsWith("mobility/{item}/"), route]);
  });

  it("gives every code a status: 503 where trying again can help, unless the caller is at fault", () => {
    const faults = Object.entries(STATUS_OF_CODE).filter(([, status]) => status >= 500 && status !== 502);
    for (const [code, status] of faults) {
      const { retryable } = new LeewardError(isErrorCode(code) ? code : "internal", "test");
      expect([code, status]).toEqual([code, retryable ? 503 : 500]);
    }
  });
});
