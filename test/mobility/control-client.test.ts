import { describe, expect, it } from "vitest";
import { createControlClient } from "../../mobility/control/control-client.ts";
import type { HttpRequest } from "../../mobility/system/transport.ts";

const CHECKSUM = "0".repeat(64);

/** A client whose every request is answered with this. */
function answered(status: number, body: unknown) {
  const sent: HttpRequest[] = [];
  const control = createControlClient({
    transport: {
      send: async (request) => {
        sent.push(request);
        return { status, headers: {}, body: typeof body === "string" ? body : JSON.stringify(body) };
      },
      close: () => undefined,
    },
    apiUrl: new URL("https://app.example/api/"),
    itemId: "web-1",
    credential: () => "ticket.token",
    sessionId: "session",
    told: () => undefined,
    signal: new AbortController().signal,
  });
  return { sent, settle: () => control.settle({ stream: 1, epoch: 2, checksum: CHECKSUM }) };
}
const error = (code: string, facts: object = {}): object => ({
  error: { code, message: "no", hint: "do this", facts },
});

describe("the control plane", () => {
  it("is asked at the item's address, with its token in a header and nowhere else", async () => {
    const { sent, settle } = answered(200, { outcome: "same" });
    expect(await settle()).toEqual({ outcome: "same" });
    const [request] = sent;
    expect(request?.url.href).toBe("https://app.example/api/mobility/web-1/settle");
    expect(request?.headers["authorization"]).toBe("Bearer ticket.token");
    expect(request?.body).toEqual({
      kind: "text",
      text: JSON.stringify({ stream: 1, epoch: 2, checksum: CHECKSUM, sessionId: "session" }),
    });
  });

  it("refuses for good with a code that says so, and with its own hint and facts", async () => {
    const { settle } = answered(409, error("session-taken", { leaseLeftMs: 7 }));
    await expect(settle()).rejects.toMatchObject({
      code: "session-taken",
      hint: "do this",
      facts: { status: 409, leaseLeftMs: 7 },
    });
  });

  it.each([
    ["a code that this service does not know", 409, error("a-newer-code")],
    ["an app that has a fault, whatever code it gives", 500, error("not-authorized")],
    ["somebody else's page", 404, "<html>not here</html>"],
    ["no answer to the question", 200, { outcome: "perhaps" }],
  ])("%s is asked again later", async (_, status, body) => {
    await expect(answered(status, body).settle()).rejects.toMatchObject({
      code: "control-unavailable",
      facts: { status },
    });
  });
});
