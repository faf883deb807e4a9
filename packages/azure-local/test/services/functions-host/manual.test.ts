import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type AppFolder, type RunningHost, type StorageWorld, KEYS, makeApp, makeStorage, runHost } from "./world.ts";

const SOURCE = `
import * as df from "durable-functions";
const seen = (globalThis.seenByManualTests ??= []);
const record = (name) => async (given, context) => {
  seen.push({ name, given, metadata: context.triggerMetadata });
  await globalThis.gateOfManualTests;
};
app.timer("tick", { schedule: "0 0 0 1 1 *", useMonitor: false, handler: record("tick") });
app.storageQueue("work", { queueName: "manual-work", connection: "TestStorage", handler: record("work") });
app.timer("off", { schedule: "0 0 0 1 1 *", useMonitor: false, handler: record("off") });
app.http("page", { handler: () => ({ body: "page" }) });
df.app.activity("add", { handler: record("add") });
df.app.orchestration("flow", function* () { return 1; });
`;
const soon = { timeout: 20_000, interval: 20 };
const globals = globalThis as unknown as {
  seenByManualTests: {
    readonly name: string;
    readonly given: unknown;
    readonly metadata: Readonly<Record<string, unknown>>;
  }[];
  gateOfManualTests?: Promise<void>;
};

describe("POST /admin/functions/{name}", () => {
  let world: StorageWorld;
  let app: AppFolder;
  let running: RunningHost;
  const post = async (name: string, body: string, key: string = KEYS.masterKey): Promise<number> => {
    const url = `${running.host.url}/admin/functions/${name}`;
    return (
      await fetch(url, {
        method: "POST",
        body,
        headers: { "x-functions-key": key, "content-type": "application/json" },
      })
    ).status;
  };
  const untilSeen = (name: string) =>
    vi.waitFor(() => expect(globals.seenByManualTests).toContainEqual(expect.objectContaining({ name })), soon);

  beforeAll(async () => {
    world = await makeStorage();
    app = await makeApp({ source: SOURCE });
    const environment = {
      TestStorage: world.connection,
      AzureWebJobsStorage: world.connection,
      "AzureWebJobs.off.Disabled": "1",
    };
    running = await runHost(app, { environment });
  });
  afterAll(async () => {
    await running[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  it("runs a timer, whatever the input", async () => {
    expect(await post("tick", '{"input":""}')).toBe(202);
    await untilSeen("tick");
    expect(globals.seenByManualTests.find(({ name }) => name === "tick")?.given).toMatchObject({ isPastDue: false });
    expect(running.host.invocations()["tick"]?.started).toBe(1);
  });

  it("runs a queue function with the input as its message, which is in no queue", async () => {
    expect(await post("WORK", JSON.stringify({ input: '{"n":1}' }))).toBe(202);
    await untilSeen("work");
    expect(globals.seenByManualTests.find(({ name }) => name === "work")).toMatchObject({
      given: { n: 1 },
      metadata: { queueTrigger: { n: 1 }, dequeueCount: 0 },
    });
  });

  it("runs an activity, and a function that is disabled", async () => {
    expect([await post("add", '{"input":"five"}'), await post("off", "{}")]).toEqual([202, 202]);
    await Promise.all([untilSeen("add"), untilSeen("off")]);
    expect(globals.seenByManualTests.find(({ name }) => name === "add")?.given).toBe("five");
  });

  it("refuses other keys, unknown names, bodies of another form, and functions that a text cannot trigger", async () => {
    expect(await post("tick", '{"input":""}', KEYS.functionKey)).toBe(401);
    expect(await post("nobody", '{"input":""}')).toBe(404);
    expect([await post("tick", ""), await post("tick", '{"input":5}'), await post("tick", "[]")]).toEqual([
      400, 400, 400,
    ]);
    expect([await post("page", '{"input":""}'), await post("flow", '{"input":""}')]).toEqual([400, 400]);
  });

  it("answers at once, and a stop waits for the run", async () => {
    let open = (): void => undefined;
    globals.gateOfManualTests = new Promise((resolve) => (open = resolve));
    const before = running.host.invocations()["tick"]?.succeeded ?? 0;
    expect(await post("tick", "{}")).toBe(202);
    await vi.waitFor(() => expect(running.host.invocations()["tick"]?.started).toBe(before + 1), soon);
    const closed = running.host.close();
    open();
    await closed;
    expect(running.host.invocations()["tick"]?.succeeded).toBe(before + 1);
  });
});
