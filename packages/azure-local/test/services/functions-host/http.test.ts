import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { FUNCTIONS_BODY_MAX_BYTES, FUNCTIONS_HTTP_REQUESTS_MAX } from "../../../limits.ts";
import { type AppFolder, type RunningHost, KEYS, makeApp, runHost } from "./world.ts";

const SOURCE = `
app.http("echo", { methods: ["GET", "POST"], authLevel: "anonymous", route: "echo/{name:alpha}/{*rest}", handler: async (request, context) => {
  const body = await request.text();
  context.log("echo " + request.params.name);
  return { status: 201, headers: { "x-own": "yes" }, jsonBody: {
    method: request.method, url: request.url, params: request.params, query: [...request.query], body, header: request.headers.get("x-in"),
    invocation: context.invocationId, functionName: context.functionName } };
} });
app.http("locked", { methods: ["GET"], authLevel: "function", handler: () => ({ body: "open" }) });
app.http("inner", { methods: ["GET"], authLevel: "admin", handler: () => ({ body: "open" }) });
app.http("boom", { methods: ["GET"], authLevel: "anonymous", handler: () => { throw new Error("a fault in the function"); } });
app.http("odd", { methods: ["GET"], authLevel: "anonymous", handler: () => "text alone is no answer" });
app.http("nothing", { methods: ["GET"], authLevel: "anonymous", handler: () => undefined });
app.http("empty", { methods: ["DELETE"], authLevel: "anonymous", handler: () => ({ status: 204, body: "ignored" }) });
app.http("pieces", { methods: ["GET"], authLevel: "anonymous", handler: () => ({ body: (async function* () { yield Buffer.from("one "); yield Buffer.from("two"); })() }) });
app.http("stream", { methods: ["GET"], authLevel: "anonymous", handler: () => ({ body: new ReadableStream({ start(c) { c.enqueue(new Uint8Array([1, 2])); c.close(); } }) }) });
app.http("cookies", { methods: ["GET"], authLevel: "anonymous", handler: () => ({ cookies: [{ name: "a", value: "1", path: "/" }, { name: "b", value: "2" }] }) });
app.http("length", { methods: ["PUT"], authLevel: "anonymous", handler: async (request) => ({ body: String((await request.arrayBuffer()).byteLength) }) });
app.http("head", { methods: ["HEAD"], authLevel: "anonymous", route: "length", handler: () => ({ headers: { "x-length": "7" } }) });
app.http("gate", { methods: ["GET"], authLevel: "anonymous", handler: async () => { await globalThis.gateOfHttpTests; return { body: "in" }; } });
app.http("off", { methods: ["GET"], authLevel: "anonymous", handler: () => ({ body: "on" }) });
`;

describe("HTTP functions", () => {
  let app: AppFolder;
  let running: RunningHost;
  const get = (path: string, init: RequestInit = {}): Promise<Response> => fetch(running.host.url + path, init);

  beforeAll(async () => {
    const extensions = { http: { routePrefix: "api", customHeaders: { "X-Everywhere": "1" } } };
    app = await makeApp({ source: SOURCE, hostJson: { version: "2.0", extensions } });
    running = await runHost(app, { environment: { "AzureWebJobs.off.Disabled": "true" } });
  });
  afterAll(async () => {
    await running[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });

  it("see method, address, parameters, query, headers and body, and answer with status and headers", async () => {
    const answer = await get("/api/ECHO/bob/x/y%20z?a=1&a=2&b=", {
      method: "POST",
      body: "content",
      headers: { "x-in": "value" },
    });
    expect([answer.status, answer.headers.get("x-own"), answer.headers.get("x-everywhere")]).toEqual([201, "yes", "1"]);
    expect(await answer.json()).toMatchObject({
      method: "POST",
      url: `${running.host.url}/api/ECHO/bob/x/y%20z?a=1&a=2&b=`,
      params: { name: "bob", rest: "x/y z" },
      query: [
        ["a", "1"],
        ["a", "2"],
        ["b", ""],
      ],
      body: "content",
      header: "value",
      functionName: "echo",
    });
  });

  it.each([
    ["/api/echo/b0b", "GET"],
    ["/api/echo/bob", "DELETE"],
    ["/echo/bob", "GET"],
    ["/api/off", "GET"],
    ["/api", "GET"],
  ])("do not answer %s %s", async (path, method) => {
    expect((await get(path, { method })).status).toBe(404);
  });

  it("want the key of their level, in the header or in the query", async () => {
    const status = async (path: string, key?: string): Promise<number> =>
      (await get(path, { headers: key === undefined ? {} : { "x-functions-key": key } })).status;
    expect(await status("/api/locked")).toBe(401);
    expect(await status("/api/locked", "wrong")).toBe(401);
    expect(await status("/api/locked", KEYS.functionKey)).toBe(200);
    expect(await status(`/api/locked?code=${KEYS.functionKey}`)).toBe(200);
    expect(await status("/api/locked", KEYS.masterKey)).toBe(200);
    expect(await status("/api/inner", KEYS.functionKey)).toBe(401);
    expect(await status("/api/inner", KEYS.masterKey)).toBe(200);
  });

  it("answer 500 with nothing in it when they throw, and the log says what", async () => {
    const answer = await get("/api/boom");
    expect([answer.status, await answer.text()]).toEqual([500, ""]);
    const line = running.events.find(({ event, function: name }) => event === "invocation-failed" && name === "boom");
    expect(line?.message).toContain("a fault in the function");
    expect((await get("/api/odd")).status).toBe(500);
  });

  it("answer 204 when they return nothing, and never a body with it", async () => {
    expect((await get("/api/nothing")).status).toBe(204);
    const empty = await get("/api/empty", { method: "DELETE" });
    expect([empty.status, await empty.text()]).toEqual([204, ""]);
  });

  it("may answer with an iterable or a stream, which is collected first", async () => {
    const pieces = await get("/api/pieces");
    expect([pieces.headers.get("content-length"), await pieces.text()]).toEqual(["7", "one two"]);
    expect(new Uint8Array(await (await get("/api/stream")).arrayBuffer())).toEqual(new Uint8Array([1, 2]));
  });

  it("set several cookies", async () => {
    expect((await get("/api/cookies")).headers.getSetCookie()).toEqual(["a=1; path=/", "b=2"]);
  });

  it("share a route between methods", async () => {
    expect((await get("/api/length", { method: "HEAD" })).headers.get("x-length")).toBe("7");
    expect(await (await get("/api/length", { method: "PUT", body: new Uint8Array(3_000_000) })).text()).toBe("3000000");
  });

  it("never see a body longer than the limit", async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = { "content-length": FUNCTIONS_BODY_MAX_BYTES + 1 };
      const sending = request(`${running.host.url}/api/length`, { method: "PUT", headers }, (answer) =>
        resolve(answer.statusCode),
      );
      sending.on("error", reject);
      sending.write("begin");
    });
    expect(status).toBe(413);
  });

  it("are refused with 429 when too many run", async () => {
    let open = (): void => undefined;
    Object.assign(globalThis, { gateOfHttpTests: new Promise<void>((resolve) => (open = resolve)) });
    const inside = Array.from({ length: FUNCTIONS_HTTP_REQUESTS_MAX }, async () => (await get("/api/gate")).status);
    await vi.waitFor(() => expect(running.host.invocations()["gate"]?.started).toBe(FUNCTIONS_HTTP_REQUESTS_MAX), {
      timeout: 20_000,
    });
    expect((await get("/api/gate")).status).toBe(429);
    open();
    expect(new Set(await Promise.all(inside))).toEqual(new Set([200]));
    expect((await get("/api/gate")).status).toBe(200);
  });

  it("are counted, and their log lines carry the invocation", async () => {
    const { invocation } = (await (await get("/api/echo/amy")).json()) as { readonly invocation: string };
    const lines = running.events.filter(({ invocationId }) => invocationId === invocation);
    expect(lines.map(({ event, message }) => [event, message])).toEqual([
      ["invocation-started", "Executing echo"],
      ["function-log", "echo amy"],
      ["invocation-succeeded", "Executed echo"],
    ]);
    expect(running.host.invocations()["boom"]).toEqual({ started: 1, succeeded: 0, failed: 1 });
    expect(running.host.invocations()["off"]).toEqual({ started: 0, succeeded: 0, failed: 0 });
  });

  it("are listed and counted by the host behind the master key only", async () => {
    const admin = async (path: string, key: string): Promise<[number, unknown]> => {
      const answer = await get(path, { headers: { "x-functions-key": key } });
      return [answer.status, answer.ok ? await answer.json() : undefined];
    };
    expect(await admin("/admin/functions", KEYS.functionKey)).toEqual([401, undefined]);
    const [, listed] = await admin("/admin/functions", KEYS.masterKey);
    expect(listed).toContainEqual(
      expect.objectContaining({
        name: "locked",
        isDisabled: false,
        invoke_url_template: `${running.host.url}/api/locked`,
      }),
    );
    expect(listed).toContainEqual(
      expect.objectContaining({ name: "off", isDisabled: true, invoke_url_template: null }),
    );
    expect(await admin("/admin/host/status", KEYS.masterKey)).toEqual([
      200,
      expect.objectContaining({ state: "Running" }),
    ]);
    expect(await admin("/admin/host/invocations", KEYS.masterKey)).toEqual([200, running.host.invocations()]);
    expect((await admin("/admin/elsewhere", KEYS.masterKey))[0]).toBe(404);
  });

  it("leave / to the host's own page", async () => {
    expect(await (await get("/")).text()).toContain("up and running");
  });

  it("leave no key and no query in the log", async () => {
    await get(`/api/locked?code=${KEYS.functionKey}`);
    const log = JSON.stringify(running.events);
    expect(log).not.toContain(KEYS.functionKey);
    expect(log).not.toContain("code=");
  });
});

describe("the setting FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", () => {
  const SOURCE = `app.http("length", { methods: ["PUT"], authLevel: "anonymous", handler: async (request) => ({ body: String((await request.arrayBuffer()).byteLength) }) });`;

  it("is obeyed", async () => {
    await using app = await makeApp({ source: SOURCE });
    await using running = await runHost(app, { environment: { FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: "1000" } });
    const put = async (lengthBytes: number): Promise<number> =>
      (await fetch(`${running.host.url}/api/length`, { method: "PUT", body: new Uint8Array(lengthBytes) })).status;
    expect([await put(1000), await put(1001)]).toEqual([200, 413]);
  });

  it("is refused when it is no number", async () => {
    await using app = await makeApp({ source: SOURCE });
    const starting = runHost(app, { environment: { FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: "lots" } });
    await expect(starting).rejects.toMatchObject({ code: "configuration-invalid" });
  });
});
