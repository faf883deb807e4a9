import { describe, expect, it } from "vitest";
import { isAuthorized } from "../../functions-host/http/keys.ts";
import { formatCookie, toHttpData, toWireResponse } from "../../functions-host/http/messages.ts";
import { formatEvent, redact } from "../../functions-host/log.ts";

const KEYS = { functionKey: "function-key", masterKey: "master-key" };

describe("keys", () => {
  it.each([
    ["anonymous", undefined, true],
    ["function", undefined, false],
    ["function", "function-key", true],
    ["function", "master-key", true],
    ["function", "function-keys", false],
    ["function", "", false],
    ["admin", "function-key", false],
    ["admin", "master-key", true],
  ] as const)("level %s with %s: %s", (level, key, expected) => {
    expect(isAuthorized(level, key, undefined, KEYS)).toBe(expected);
    expect(isAuthorized(level, undefined, key, KEYS)).toBe(expected);
  });

  it("of the header win over those of the query", () => {
    expect(isAuthorized("function", "wrong", "function-key", KEYS)).toBe(false);
  });

  it("that are empty grant nothing", () => {
    expect(isAuthorized("admin", "", undefined, { functionKey: "", masterKey: "" })).toBe(false);
  });
});

describe("HTTP messages", () => {
  it("reach the function with joined headers and route parameters", () => {
    const url = new URL("http://localhost:7071/api/x?a=1");
    expect(toHttpData("PUT", url, { "x-one": "1", "set-cookie": ["a", "b"] }, { id: "" }, Buffer.from("b"))).toEqual({
      method: "PUT",
      url: "http://localhost:7071/api/x?a=1",
      headers: { "x-one": "1", "set-cookie": "a,b" },
      nullableParams: { id: { value: "" } },
      body: { bytes: Buffer.from("b") },
    });
  });

  it("answer 204 when the function returned nothing", () => {
    expect(toWireResponse(undefined).status).toBe(204);
    expect(toWireResponse(null).status).toBe(204);
  });

  it("keep the headers of the function, except those for framing, which the server sets", () => {
    const answer = toWireResponse({
      http: { statusCode: "201", headers: { "X-A": "1", "content-length": "9", "transfer-encoding": "chunked" } },
    });
    expect([answer.status, [...answer.headers]]).toEqual([201, [["x-a", "1"]]]);
  });

  it("answer 500 for a status that HTTP does not have", () => {
    expect(toWireResponse({ http: { statusCode: "9000" } }).status).toBe(500);
  });

  it("write cookies with their attributes", () => {
    expect(
      formatCookie({
        name: "a",
        value: "b c;",
        path: { value: "/" },
        maxAge: { value: 5 },
        secure: { value: true },
        httpOnly: { value: true },
        sameSite: "explicitNone",
        expires: { value: { seconds: 1 } },
      }),
    ).toBe("a=b%20c%3B; max-age=5; path=/; expires=Thu, 01 Jan 1970 00:00:01 GMT; secure; httponly; samesite=None");
    expect(formatCookie({ name: "a", value: "" })).toBe("a=");
  });
});

describe("the log", () => {
  it("is one JSON object a line", () => {
    const line = formatEvent({ level: "error", event: "http", message: "two\nlines" }, 0);
    expect(line).not.toContain("\n");
    expect(JSON.parse(line)).toEqual({
      time: "1970-01-01T00:00:00.000Z",
      level: "error",
      event: "http",
      message: "two\nlines",
    });
  });

  it("never shows keys and signatures of addresses and connection strings", () => {
    const text = redact(
      "GET http://h/a?code=secret1&x=1 and https://b/c?sv=1&sig=secret%2F2 with AccountName=a;AccountKey=secret3==;B=1",
    );
    expect(text).not.toMatch(/secret/);
    expect(text).toContain("x=1");
    expect(text).toContain("AccountName=a");
  });
});
