import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ApiError, type Client, createClient } from "../../api/client.ts";

interface Given {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}
interface Received {
  readonly what: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

let server: Server;
let api: Client;
let url = "";
let received: Received[] = [];
let given: Given = { status: 200 };

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const text = Buffer.concat(await request.toArray()).toString("utf8");
  received.push({
    what: `${request.method} ${request.url}`,
    headers: request.headers,
    body: text === "" ? undefined : JSON.parse(text),
  });
  const { status, headers = {}, body } = given;
  response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
}

beforeEach(async () => {
  received = [];
  server = createServer((request, response) => void receive(request, response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  api = createClient({ url: `${url}/`, functionKey: "KEY" });
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const POLICY = {
  name: "a/b",
  crashConsistentFrequencyInMinutes: 5,
  appConsistentFrequencyInMinutes: 0,
  recoveryPointHistory: 1440,
  recoveryPointThresholdInMinutes: 15,
};
const error = { code: "policy-unknown", message: "There is none.", hint: "List them.", facts: {} };
const failureOf = async (asked: Promise<unknown>): Promise<unknown> => asked.catch((thrown: unknown) => thrown);

describe("the client", () => {
  it("sends key, names, body and request id as the contract says, and gives the answer", async () => {
    given = { status: 201, body: POLICY };
    const body = { recoveryPointHistory: 1440 };
    expect(await api.putPolicy({ policy: "a/b", body })).toEqual({ status: 201, body: POLICY, location: undefined });
    given = {
      status: 202,
      body: { name: "1".repeat(32), recoveryPoint: "p", state: "Pending" },
      headers: { location: "/api/x" },
    };
    const asked = { item: "web-1", point: "p", requestId: "once" };
    expect(await api.restoreRecoveryPoint(asked)).toMatchObject({ status: 202, location: "/api/x" });
    given = { status: 200, body: { value: [], next: "b" } };
    expect((await api.listItems({ after: "a&b" })).body.next).toBe("b");
    given = { status: 204 };
    expect(await api.deletePolicy({ policy: "gold" })).toMatchObject({ status: 204, body: undefined });
    expect(received.map(({ what }) => what)).toEqual([
      "PUT /api/replicationPolicies/a%2Fb",
      "POST /api/replicationProtectedItems/web-1/recoveryPoints/p/restore",
      "GET /api/replicationProtectedItems?after=a%26b",
      "DELETE /api/replicationPolicies/gold",
    ]);
    expect(received.map(({ headers }) => headers["x-functions-key"])).toEqual(["KEY", "KEY", "KEY", "KEY"]);
    expect([received[0]?.body, received[1]?.headers["x-ms-client-request-id"]]).toEqual([body, "once"]);
  });

  it("takes what a newer app says beside that, and leaves it out", async () => {
    given = { status: 200, body: { ...POLICY, newer: true } };
    expect((await api.showPolicy({ policy: "gold" })).body).toEqual(POLICY);
  });

  it.each([
    [
      "a refusal",
      { status: 404, body: { error } },
      { kind: "refused", status: 404, code: "policy-unknown", hint: "List them." },
    ],
    [
      "a code of a newer app",
      { status: 418, body: { error: { ...error, code: "new" } } },
      { kind: "refused", code: "new" },
    ],
    ["a host's own refusal", { status: 401, body: "" }, { kind: "refused", status: 401, code: undefined }],
    ["another shape", { status: 200, body: { name: 1 } }, { kind: "unreadable" }],
    ["a status that is not in the contract", { status: 206, body: POLICY }, { kind: "unreadable" }],
    ["no JSON", { status: 200, body: "<html>" }, { kind: "unreadable" }],
  ] as const)("tells %s", async (_what, answer, expected) => {
    given = answer;
    const failure = await failureOf(api.showPolicy({ policy: "gold" }));
    expect(failure).toBeInstanceOf(ApiError);
    expect(failure).toMatchObject(expected);
  });

  it("rule 8: takes no place on another host, because the key would go there", async () => {
    given = { status: 202, body: { name: "web-1" }, headers: { location: "https://elsewhere.example/x" } };
    expect(await failureOf(api.rotateToken({ item: "web-1" }))).toMatchObject({ kind: "unreadable" });
    given = { status: 202, body: { name: "web-1" } };
    expect(await failureOf(api.rotateToken({ item: "web-1" }))).toMatchObject({ kind: "unreadable" });
  });

  it("tells that nobody answered, in the words that it was given", async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    expect(await failureOf(api.listPolicies({}))).toMatchObject({ kind: "unreachable", status: undefined });
    const worded = createClient({ url, functionKey: "KEY", failure: ({ kind }) => new RangeError(kind) });
    expect(await failureOf(worded.listPolicies({}))).toEqual(new RangeError("unreachable"));
  });
});
