import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { callClient, DURABLE_SOURCE } from "./durable-app.ts";
import { type AppFolder, type RunningHost, KEYS, makeApp, runHost } from "./world.ts";

const soon = { timeout: 30_000, interval: 20 };
const hostJson = { version: "2.0", extensions: { durableTask: { hubName: "TestHub" } } };
const BASE = "/runtime/webhooks/durabletask";

interface Status {
  readonly instanceId: string;
  readonly runtimeStatus: string;
  readonly output: unknown;
}
interface Links {
  readonly id: string;
  readonly statusQueryGetUri: string;
  readonly sendEventPostUri: string;
}

let app: AppFolder;
let running: RunningHost;
let query: string;
beforeAll(async () => {
  app = await makeApp({ source: DURABLE_SOURCE, hostJson });
  running = await runHost(app);
  query = new URL((await links("echo")).statusQueryGetUri).search;
});
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

const client = (method: string, ...parameters: readonly unknown[]): Promise<unknown> =>
  callClient(running, method, ...parameters);
const status = async (id: unknown): Promise<Status> => (await client("getStatus", id)) as Status;
const reaches = (id: unknown, ...statuses: readonly string[]): Promise<Status> =>
  vi.waitFor(async () => {
    const now = await status(id);
    expect(statuses).toContain(now.runtimeStatus);
    return now;
  }, soon);
const ended = (id: unknown): Promise<Status> => reaches(id, "Completed", "Failed", "Terminated");

/** Starts an orchestration through an HTTP function and gives its links. */
async function links(name: string): Promise<Links> {
  const answer = await fetch(`${running.host.url}/api/start/${name}`, { method: "POST" });
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([202, "10"]);
  const payload = (await answer.json()) as Links;
  expect(answer.headers.get("location")).toBe(payload.statusQueryGetUri);
  return payload;
}

/** A request to the management API, with the key unless it stands in the path. */
async function manage(method: string, path: string, body?: string, headers: Readonly<Record<string, string>> = {}) {
  const url = running.host.url + BASE + path + (path.includes("?") ? query.replace("?", "&") : query);
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body }),
    headers: { ...type, ...headers },
  });
  const text = await answer.text();
  return {
    status: answer.status,
    headers: answer.headers,
    body: (text === "" ? undefined : JSON.parse(text)) as unknown,
  };
}

describe("the client of the SDK", () => {
  it("starts an orchestration and shows it to its end", async () => {
    const id = await client("startNew", "greet", { input: "you" });
    expect(id).toMatch(/^[\da-f]{32}$/);
    expect(await ended(id)).toEqual({
      name: "greet",
      instanceId: id,
      runtimeStatus: "Completed",
      input: "you",
      output: { two: "hello hello you" },
      customStatus: { step: 1 },
      createdTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/),
      lastUpdatedTime: expect.any(String),
    });
  });

  it.each([["text"], [{ n: 1 }], [[1, "2"]], [7], [false]])("hands the input %j over as it is", async (input) => {
    const id = await client("startNew", "echo", { input });
    expect((await ended(id)).output).toEqual({ input, type: typeof input });
  });

  it("shows the failure of an activity", async () => {
    const id = await client("startNew", "fails");
    expect(await ended(id)).toMatchObject({
      runtimeStatus: "Failed",
      output: expect.stringContaining(
        "Orchestrator function 'fails' failed: Activity function 'boom' failed: no such luck",
      ),
    });
  });

  it("refuses an unknown orchestrator, an impossible id and one in use, and replaces one that has ended", async () => {
    await expect(client("startNew", "nowhere")).rejects.toThrow(/400.*known orchestrator functions: 'greet'/);
    await expect(client("startNew", "echo", { instanceId: "@x" })).rejects.toThrow(/400.*must not start with @/);
    await client("startNew", "waits", { instanceId: "single" });
    await expect(client("startNew", "echo", { instanceId: "single" })).rejects.toThrow(/409/);
    await client("terminate", "single", "enough");
    await reaches("single", "Terminated");
    expect(await client("startNew", "echo", { instanceId: "single" })).toBe("single");
    expect(await ended("single")).toMatchObject({ name: "echo", runtimeStatus: "Completed" });
  });

  it("raises events, whatever their spelling, and sends nothing to one that has ended", async () => {
    const id = await client("startNew", "waits");
    await reaches(id, "Running");
    await client("raiseEvent", id, "GO", { n: 1 });
    expect((await ended(id)).output).toEqual({ event: { n: 1 } });
    await client("raiseEvent", id, "go", 2);
    await expect(client("raiseEvent", "unknown", "go", 2)).rejects.toThrow("No instance with ID 'unknown' found.");
  });

  it("suspends, resumes and terminates", async () => {
    const id = await client("startNew", "waits");
    await client("suspend", id, "a pause");
    await reaches(id, "Suspended");
    await client("raiseEvent", id, "Go", 1);
    await client("resume", id, "go on");
    expect((await ended(id)).output).toEqual({ event: 1 });
    const other = await client("startNew", "waits");
    await client("terminate", other, "enough");
    expect(await ended(other)).toMatchObject({ runtimeStatus: "Terminated", output: "enough" });
    await client("terminate", other, "twice is harmless");
    for (const method of ["terminate", "suspend", "resume"]) {
      await expect(client(method, "unknown", "x")).rejects.toThrow("No instance with ID 'unknown' found.");
    }
  });

  it("purges what has ended, one by one or by condition", async () => {
    const from = { $date: new Date(Date.now() - 60_000).toISOString() };
    const [ended1, live] = [await client("startNew", "echo"), await client("startNew", "waits")];
    await ended(ended1);
    expect(await client("purgeInstanceHistory", ended1)).toEqual({ instancesDeleted: 1 });
    expect(await client("purgeInstanceHistory", ended1)).toEqual({ instancesDeleted: 0 });
    expect(await client("purgeInstanceHistory", live)).toEqual({ instancesDeleted: 0 });
    await expect(status(ended1)).rejects.toThrow("HTTP 404");
    const failed = await client("startNew", "fails");
    await ended(failed);
    const filter = { createdTimeFrom: from, runtimeStatus: ["Failed", "Running"] };
    expect(await client("purgeInstanceHistoryBy", filter)).toMatchObject({ instancesDeleted: expect.any(Number) });
    await expect(status(failed)).rejects.toThrow("HTTP 404");
    expect(await client("purgeInstanceHistoryBy", filter)).toEqual({ instancesDeleted: 0 });
    expect((await reaches(live, "Running")).runtimeStatus).toBe("Running");
    await client("terminate", live, "done");
  });

  it("lists all, over more than one page, and by condition", async () => {
    const before = ((await client("getStatusAll")) as unknown[]).length;
    await Promise.all(Array.from({ length: 103 }, (_, n) => client("startNew", "echo", { instanceId: `listed-${n}` })));
    await vi.waitFor(async () => {
      expect(await client("getStatusBy", { runtimeStatus: ["Completed"] })).toSatisfy(
        (list: readonly Status[]) => list.length >= 103,
      );
    }, soon);
    expect(await client("getStatusAll")).toHaveLength(before + 103);
    const none = { createdTimeFrom: { $date: new Date(Date.now() + 60_000).toISOString() } };
    expect(await client("getStatusBy", none)).toEqual([]);
  });

  it("gives links that lead back to where the caller came from", async () => {
    const payload = await links("waits");
    expect(Object.keys(payload).toSorted()).toEqual(
      ["id", "purgeHistoryDeleteUri", "restartPostUri", "resumePostUri", "rewindPostUri", "sendEventPostUri"].concat([
        "statusQueryGetUri",
        "suspendPostUri",
        "terminatePostUri",
      ]),
    );
    for (const link of Object.values(payload).filter((value) => value !== payload.id))
      expect(link).toContain(running.host.url);
    expect((await fetch(payload.statusQueryGetUri)).status).toBe(202);
    const event = payload.sendEventPostUri.replace("{eventName}", "Go");
    expect(
      (await fetch(event, { method: "POST", headers: { "content-type": "application/json" }, body: "5" })).status,
    ).toBe(202);
    expect((await ended(payload.id)).output).toEqual({ event: 5 });
  });

  it("waits for the end of a quick orchestration, and gives up on a slow one", async () => {
    const wait = (name: string, waitMs: number): Promise<Response> =>
      fetch(`${running.host.url}/api/start/${name}?wait=${waitMs}`, { method: "POST" });
    const quick = await wait("greet", 30_000);
    expect([quick.status, await quick.json()]).toEqual([200, { two: "hello hello you" }]);
    const failed = await wait("fails", 30_000);
    expect([failed.status, await failed.json()]).toMatchObject([500, { runtimeStatus: "Failed" }]);
    const slow = await wait("waits", 60);
    expect(slow.status).toBe(202);
    await client("terminate", ((await slow.json()) as Links).id, "done");
  });

  it("is given to every kind of function, here to a timer that fires at the start", async () => {
    await vi.waitFor(async () => expect(await status("from-timer").catch(() => undefined)).toBeDefined(), soon);
    expect((await ended("from-timer")).output).toEqual({ input: "tick", type: "string" });
  });

  it("is answered while an orchestration begins again and again without a pause", async () => {
    const id = await client("startNew", "spin", { input: 0 });
    await vi.waitFor(
      async () =>
        expect(Number(((await status(id)) as unknown as { readonly input: unknown }).input)).toBeGreaterThan(20),
      soon,
    );
    await client("terminate", id, "enough");
    await reaches(id, "Terminated");
  });

  it("is told that rewinding is not offered", async () => {
    const id = await client("startNew", "fails");
    await ended(id);
    await expect(client("rewind", id, "again")).rejects.toThrow("not offered by the local Functions host");
  });

  it("is told that entities are not offered", async () => {
    await expect(client("signalEntity", { name: "counter", key: "a" }, "add", 1)).rejects.toThrow(
      /501.*entities are not offered/,
    );
  });
});

describe("the management API", () => {
  it("wants its own key, which opens nothing else, or the master key", async () => {
    const path = `${running.host.url}${BASE}/instances`;
    const code = new URLSearchParams(query).get("code") ?? "";
    const statuses = [
      await fetch(path),
      await fetch(path, { headers: { "x-functions-key": KEYS.functionKey } }),
      await fetch(path, { headers: { "x-functions-key": code } }),
      await fetch(`${path}?code=${KEYS.masterKey}`),
      await fetch(`${running.host.url}/admin/functions?code=${code}`),
      await fetch(`${running.host.url}/runtime/durabletask/instances`),
    ].map((answer) => answer.status);
    expect(statuses).toEqual([401, 401, 200, 200, 401, 404]);
  });

  it("starts with or without input and id, and waits when it is asked to", async () => {
    const quick = await manage("POST", "/orchestrators/greet/named?timeout=30&pollingInterval=1", '"me"');
    expect([quick.status, quick.body]).toEqual([200, { two: "hello hello me" }]);
    const plain = await manage("POST", "/orchestrators/echo");
    expect([plain.status, plain.headers.get("retry-after")]).toEqual([202, "10"]);
    const payload = plain.body as Links;
    expect(Object.keys(payload)).not.toContain("rewindPostUri");
    expect(plain.headers.get("location")).toBe(payload.statusQueryGetUri);
    expect((await ended(payload.id)).output).toEqual({ input: null, type: "object" });
    const slow = await manage("POST", "/orchestrators/waits/slow?timeout=0.05&pollingInterval=0.01");
    expect(slow.status).toBe(202);
    await manage("POST", "/instances/slow/terminate?reason=done");
  });

  it.each<[number, string, string, string | undefined, object | undefined]>([
    [400, "POST", "/orchestrators/echo", "{", { Message: "Invalid JSON content" }],
    [
      400,
      "POST",
      "/orchestrators/nowhere",
      undefined,
      { Message: "One or more of the arguments submitted is incorrect" },
    ],
    [
      400,
      "POST",
      "/orchestrators/echo/a%3Fb",
      undefined,
      { ExceptionMessage: expect.stringContaining("must not contain") },
    ],
    [
      400,
      "POST",
      "/orchestrators/echo?timeout=1&pollingInterval=2",
      undefined,
      { ExceptionMessage: expect.stringContaining("bigger than") },
    ],
    [404, "GET", "/orchestrators/echo", undefined, undefined],
    [404, "GET", "/instances/unknown", undefined, undefined],
    [404, "DELETE", "/instances/unknown", undefined, undefined],
    [404, "POST", "/instances/unknown/terminate", undefined, undefined],
    [404, "POST", "/instances/unknown/raiseEvent/Go", "1", undefined],
    [404, "POST", "/instances/unknown/dance", undefined, undefined],
    [404, "PUT", "/instances", undefined, undefined],
    [404, "GET", "/nothing", undefined, undefined],
    [
      400,
      "POST",
      "/instances/unknown/restart",
      undefined,
      { Message: "InstanceId does not match a valid orchestration instance." },
    ],
    [501, "GET", "/entities/counter/a", undefined, { Message: expect.stringContaining("entities") }],
  ])("answers %i to %s %s", async (expected, method, path, body, fault) => {
    const answer = await manage(method, path, body);
    expect([answer.status, answer.body === undefined]).toEqual([expected, fault === undefined]);
    expect(answer.body ?? {}).toMatchObject(fault ?? {});
  });

  it("shows one instance: 202 while it lives, 200 afterwards, 500 for a failure when the caller wants that", async () => {
    await manage("POST", "/orchestrators/waits/shown", '{"a":1}');
    await reaches("shown", "Running");
    const live = await manage("GET", "/instances/shown");
    expect([live.status, live.headers.get("retry-after"), live.headers.get("location")]).toEqual([
      202,
      "5",
      expect.stringContaining("/instances/shown"),
    ]);
    expect(live.body).toEqual({
      name: "waits",
      instanceId: "shown",
      runtimeStatus: "Running",
      input: { a: 1 },
      customStatus: "waiting",
      output: null,
      createdTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      lastUpdatedTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    });
    await manage("POST", "/instances/shown/terminate?reason=enough");
    await reaches("shown", "Terminated");
    expect(await manage("GET", "/instances/shown?showInput=false")).toMatchObject({
      status: 200,
      body: { input: null, output: "enough" },
    });
    for (const [operation, body] of [
      ["terminate", undefined],
      ["suspend", undefined],
      ["resume", undefined],
      ["rewind", undefined],
      ["raiseEvent/Go", "1"],
    ] as const) {
      expect((await manage("POST", `/instances/shown/${operation}`, body)).status).toBe(410);
    }
    await manage("POST", "/orchestrators/fails/failed");
    await ended("failed");
    expect((await manage("GET", "/instances/failed")).status).toBe(200);
    expect((await manage("GET", "/instances/failed?returnInternalServerErrorOnFailure=true")).status).toBe(500);
    expect((await manage("POST", "/instances/failed/rewind?reason=x")).status).toBe(501);
  });

  it("refuses to suspend what is suspended and to resume what runs, as newer hosts of Azure do", async () => {
    const wrong = (operation: string, state: string) => ({
      status: 500,
      body: {
        Message: "Something went wrong while processing your request",
        ExceptionMessage: `Cannot ${operation} orchestration instance in the ${state} state.`,
      },
    });
    await manage("POST", "/orchestrators/waits/paused");
    await reaches("paused", "Running");
    expect(await manage("POST", "/instances/paused/resume")).toMatchObject(wrong("resume", "Running"));
    expect((await manage("POST", "/instances/paused/suspend?reason=x")).status).toBe(202);
    await reaches("paused", "Suspended");
    expect(await manage("POST", "/instances/paused/suspend")).toMatchObject(wrong("suspend", "Suspended"));
    await expect(client("suspend", "paused", "again")).rejects.toThrow(/500/);
    expect((await manage("POST", "/instances/paused/resume")).status).toBe(202);
    await reaches("paused", "Running");
    await expect(client("resume", "paused", "again")).rejects.toThrow(/500/);
    await client("terminate", "paused", "enough");
  });

  it("takes events as JSON only", async () => {
    await manage("POST", "/orchestrators/waits/picky");
    const text = await manage("POST", "/instances/picky/raiseEvent/Go", "1", { "content-type": "text/plain" });
    expect(text).toMatchObject({
      status: 400,
      body: { Message: "Only application/json request content is supported" },
    });
    expect((await manage("POST", "/instances/picky/raiseEvent/Go", "{")).status).toBe(400);
    expect(
      (
        await manage("POST", "/instances/picky/raiseevent/go", '{"ok":true}', {
          "content-type": "application/json; charset=utf-8",
        })
      ).status,
    ).toBe(202);
    expect((await ended("picky")).output).toEqual({ event: { ok: true } });
  });

  it("shows the history with names, each call as one entry", async () => {
    await manage("POST", "/orchestrators/greet/historic", '"me"');
    await ended("historic");
    const { body } = await manage("GET", "/instances/historic?showHistory=true&showHistoryOutput=true");
    const events = (body as { readonly historyEvents: readonly Record<string, unknown>[] }).historyEvents;
    expect(events).toEqual([
      { EventType: "ExecutionStarted", FunctionName: "greet", Input: '"me"', Timestamp: expect.any(String) },
      expect.objectContaining({ EventType: "TaskCompleted", FunctionName: "hello", Input: '"me"', Result: "hello me" }),
      expect.objectContaining({
        EventType: "TaskCompleted",
        FunctionName: "hello",
        Result: "hello hello me",
        ScheduledTime: expect.any(String),
      }),
      {
        EventType: "ExecutionCompleted",
        OrchestrationStatus: "Completed",
        Result: { two: "hello hello me" },
        Timestamp: expect.any(String),
      },
    ]);
    const bare = await manage("GET", "/instances/historic?showHistory=true&showInput=false");
    expect(JSON.stringify((bare.body as { readonly historyEvents: unknown }).historyEvents)).not.toMatch(
      /Result|Input|EventId|IsPlayed/,
    );
  });

  it("lists page by page, by prefix, and with a trailing slash", async () => {
    for (const name of ["a", "b", "c"]) await manage("POST", `/orchestrators/echo/page-${name}`);
    const ids = (answer: { readonly body: unknown }) =>
      (answer.body as readonly Status[]).map(({ instanceId }) => instanceId);
    const first = await manage("GET", "/instances/?instanceIdPrefix=page-&top=2");
    const token = first.headers.get("x-ms-continuation-token") ?? "";
    expect([ids(first), token]).toEqual([["page-a", "page-b"], expect.stringMatching(/./)]);
    const second = await manage("GET", "/instances?instanceIdPrefix=page-&top=2", undefined, {
      "x-ms-continuation-token": token,
    });
    expect([ids(second), second.headers.get("x-ms-continuation-token")]).toEqual([["page-c"], null]);
  });

  it("purges by condition only with createdTimeFrom", async () => {
    const missing = await manage("DELETE", "/instances?runtimeStatus=Failed");
    expect([missing.status, missing.body]).toEqual([400, "Please provide value for 'createdTimeFrom' parameter."]);
    expect((await manage("DELETE", "/instances?createdTimeFrom=2099-01-01T00:00:00Z")).status).toBe(404);
    await manage("POST", "/orchestrators/echo/gone");
    await ended("gone");
    expect(await manage("DELETE", "/instances/gone")).toMatchObject({ status: 200, body: { instancesDeleted: 1 } });
  });

  it("starts an instance again, under a new id or its own", async () => {
    await manage("POST", "/orchestrators/echo/original", '"in"');
    await ended("original");
    const again = await manage("POST", "/instances/original/restart");
    const { id } = again.body as Links;
    expect([again.status, id === "original"]).toEqual([202, false]);
    expect((await ended(id)).output).toMatchObject({ input: "in" });
    const same = await manage("POST", "/instances/original/restart?restartWithNewInstanceId=false");
    expect([same.status, (same.body as Links).id]).toEqual([202, "original"]);
  });
});

describe("an app without durable-functions", () => {
  it("has no management API and keeps no state", async () => {
    await using plain = await makeApp({ source: `app.http("hello", { handler: () => ({}) });` });
    await using host = await runHost(plain, { durableFolder: "/nowhere/that/could/be/made\0" });
    expect((await fetch(`${host.host.url}${BASE}/instances?code=${KEYS.masterKey}`)).status).toBe(404);
  });
});
