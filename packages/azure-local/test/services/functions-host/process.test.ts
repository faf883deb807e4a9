import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { addressOf, forkHost, KEYS, makeApp } from "./world.ts";

const soon = { timeout: 20_000, interval: 20 };
const HELLO = `app.http("hello", { methods: ["GET"], authLevel: "function", handler: () => ({ body: "hello" }) });`;

/** What the host says when an app does not start. */
async function failureOf(app: Parameters<typeof makeApp>[0], environment: NodeJS.ProcessEnv = {}): Promise<string> {
  await using folder = await makeApp(app);
  await using running = forkHost(folder, environment);
  const message = await running.first;
  expect(await running.exited).toBe(1);
  if (message?.kind !== "failed")
    throw new Error(`The host said ${JSON.stringify(message)} instead.\n${running.output()}`);
  return message.message;
}

describe("the process of the host", () => {
  it("reports its address, serves with the keys of its environment, and stops when it is told to", async () => {
    await using app = await makeApp({
      source: `${HELLO}\napp.http("keys", { handler: () => ({ jsonBody: Object.keys(process.env) }) });`,
    });
    await using running = forkHost(app, { AZURE_LOCAL_DURABLE_FOLDER: app.folder });
    const url = await addressOf(running);
    expect((await fetch(`${url}/api/hello`)).status).toBe(401);
    expect(await (await fetch(`${url}/api/hello?code=${KEYS.functionKey}`)).text()).toBe("hello");
    const names = (await (await fetch(`${url}/api/keys`)).json()) as readonly string[];
    expect(names.filter((name) => name.startsWith("AZURE_LOCAL_"))).toEqual([]);
    expect(names).toContain("WEBSITE_HOSTNAME");
    running.child.send({ kind: "stop" });
    expect(await running.exited).toBe(0);
    const lines = running.output().trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { readonly message: string }).message)).toContain("Host stopped");
    expect(running.output()).not.toContain(KEYS.functionKey);
  });

  it("exits when its parent is gone", async () => {
    await using app = await makeApp({ source: HELLO });
    await using running = forkHost(app);
    await addressOf(running);
    running.child.disconnect();
    expect(await running.exited).toBe(0);
  });

  it("finishes and answers a running request before it exits", async () => {
    await using app = await makeApp({
      source: `app.http("slow", { authLevel: "anonymous", handler: async () => { console.log("begun"); await new Promise((r) => setTimeout(r, 500)); return { body: "done" }; } });`,
    });
    await using running = forkHost(app);
    const url = await addressOf(running);
    const answer = fetch(`${url}/api/slow`);
    await vi.waitFor(() => expect(running.output()).toContain("begun"), soon);
    running.child.send({ kind: "stop" });
    expect(await (await answer).text()).toBe("done");
    expect(await running.exited).toBe(0);
  });

  it("exits after a time limit though a request never ends, and runs the appTerminate hooks", async () => {
    await using app = await makeApp({
      source: `app.http("never", { authLevel: "anonymous", handler: () => { console.log("begun"); return new Promise(() => {}); } });
        app.hook.appStart((context) => { context.hookData.x = 1; console.log("appStart"); });
        app.hook.appTerminate(() => { console.log("appTerminate"); });`,
    });
    await using running = forkHost(app);
    const url = await addressOf(running);
    const answer = fetch(`${url}/api/never`).catch(() => "cut");
    await vi.waitFor(() => expect(running.output()).toContain("begun"), soon);
    running.child.send({ kind: "stop" });
    expect(await running.exited).toBe(0);
    expect(await answer).toBe("cut");
    expect(running.output()).toMatch(/appStart[^]*appTerminate/);
  });

  it("ends itself when a function runs longer than functionTimeout, as Azure replaces the worker", async () => {
    await using app = await makeApp({
      source: `app.http("never", { authLevel: "anonymous", handler: () => new Promise(() => {}) });`,
      hostJson: { version: "2.0", functionTimeout: "00:00:01" },
    });
    await using running = forkHost(app);
    const url = await addressOf(running);
    expect((await fetch(`${url}/api/never`)).status).toBe(500);
    expect(await running.exited).toBe(1);
    expect(running.output()).toContain("Timeout value of 1 s exceeded by function: never");
  });

  it("exits when its parent is gone though the app never finishes loading", async () => {
    await using app = await makeApp({
      source: `console.log("loading"); setInterval(() => {}, 1000); await new Promise(() => {});`,
    });
    await using running = forkHost(app);
    await vi.waitFor(() => expect(running.output()).toContain("loading"), soon);
    running.child.disconnect();
    expect(await running.exited).toBe(0);
  });

  it.each([
    ["by its parent", (child: ChildProcess) => child.send({ kind: "stop" })],
    ["by SIGTERM", (child: ChildProcess) => child.kill("SIGTERM")],
  ])("that is told to stop while it starts, %s, stops in order and runs nothing", async (_who, tell) => {
    await using app = await makeApp({
      source: `app.timer("startup", { schedule: "0 0 0 1 1 *", useMonitor: false, runOnStartup: true, handler: () => {} });
        app.hook.appStart(async () => { console.log("starting"); await new Promise((resolve) => setTimeout(resolve, 500)); console.log("hook ended"); });`,
    });
    await using running = forkHost(app);
    await vi.waitFor(() => expect(running.output()).toContain("starting"), soon);
    tell(running.child);
    expect(await running.exited).toBe(0);
    expect(await running.first).toBeUndefined();
    expect(running.output()).toContain("hook ended");
    expect(running.output()).not.toContain("invocation-started");
  });

  it("stops on SIGTERM also below a parent, as a service manager sends it to a whole group", async () => {
    await using app = await makeApp({ source: HELLO });
    await using running = forkHost(app);
    await addressOf(running);
    running.child.kill("SIGTERM");
    expect(await running.exited).toBe(0);
    expect(running.output()).toContain("Host stopped");
  });

  it("ends when the app throws outside of any function", async () => {
    await using app = await makeApp({ source: `${HELLO}\nsetTimeout(() => { throw new Error("loose end"); }, 200);` });
    await using running = forkHost(app);
    expect(await running.exited).toBe(1);
    expect(running.output()).toContain("loose end");
  });

  it("names the option when its port is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await using app = await makeApp({ source: HELLO });
    await using running = forkHost(app, {}, ["--port", String(port)]);
    expect(await running.first).toEqual({ kind: "failed", message: expect.stringContaining("--port") });
    expect(await running.exited).toBe(1);
    taken.close();
  });
});

describe("an app that the host cannot run", () => {
  it("has a fault while it is loaded", async () => {
    expect(await failureOf({ source: `throw new Error("no such luck");` })).toContain("no such luck");
  });

  it("has no file where package.json says", async () => {
    const packageJson = { name: "fixture", type: "module", main: "dist/{nowhere,nothing}.js" };
    expect(await failureOf({ source: HELLO, packageJson })).toContain("Found zero files matching the supplied pattern");
  });

  it("registers nothing", async () => {
    expect(await failureOf({ source: "" })).toContain("registered no function");
  });

  it("registers a name twice", async () => {
    expect(await failureOf({ source: `${HELLO}\n${HELLO.replace('"hello"', '"Hello"')}` })).toContain(
      "has already been registered",
    );
  });

  it("uses a trigger or an output that is not offered", async () => {
    const blob = `app.storageBlob("copy", { path: "a/{name}", connection: "TestStorage", handler: () => {} });`;
    expect(await failureOf({ source: blob })).toContain("Function copy uses blobTrigger");
    const grid = `app.eventGrid("events", { handler: () => {} });`;
    expect(await failureOf({ source: grid })).toContain("Function events uses eventGridTrigger");
    const output = `import { output } from "@azure/functions"; app.http("send", { extraOutputs: [output.storageQueue({ queueName: "q", connection: "C" })], handler: () => {} });`;
    expect(await failureOf({ source: output })).toContain("Function send uses queue (output)");
  });

  it("wants HTTP streaming", async () => {
    expect(await failureOf({ source: `${HELLO}\napp.setup({ enableHttpStream: true });` })).toContain(
      "enableHttpStream",
    );
  });

  it("has bindings with wrong members", async () => {
    const nameless = `app.storageQueue("work", { connection: "Target", handler: () => {} });`;
    expect(await failureOf({ source: nameless })).toContain("Function work: queueTrigger.queueName");
    const source = `app.storageQueue("work", { queueName: "work", connection: "Target", handler: () => {} });`;
    const malformed = await failureOf({ source }, { Target: "secret=1" });
    expect(malformed).toContain("the setting Target is not a connection string");
    expect(malformed).not.toContain("secret");
    const zone = `app.timer("tick", { schedule: "0 * * * * *", handler: () => {} });`;
    expect(await failureOf({ source: zone }, { WEBSITE_TIME_ZONE: "Europe/Paris" })).toContain("WEBSITE_TIME_ZONE");
  });

  it("connects by identity", async () => {
    const source = `app.storageQueue("work", { queueName: "work", connection: "Target", handler: () => {} });`;
    expect(await failureOf({ source }, { Target__queueServiceUri: "https://x.queue.core.windows.net" })).toContain(
      "Target__queueServiceUri",
    );
  });

  it("has a section in host.json that the host does not know", async () => {
    expect(await failureOf({ source: HELLO, hostJson: { version: "2.0", extensions: { serviceBus: {} } } })).toContain(
      "host.json.extensions.serviceBus",
    );
  });
});

describe("the loader", () => {
  it("takes several files in sorted order, CommonJS beside ES modules", async () => {
    await using app = await makeApp({
      source: "",
      packageJson: { name: "fixture", type: "module", main: "dist/functions/{one,two}.*" },
      files: {
        "dist/functions/one.cjs": `const { app } = require("@azure/functions"); app.http("one", { authLevel: "anonymous", handler: () => ({ body: "cjs" }) });`,
        "dist/functions/two.mjs": `import { app } from "@azure/functions"; app.http("two", { authLevel: "anonymous", handler: () => ({ body: "esm" }) });`,
      },
    });
    await using running = forkHost(app);
    const url = await addressOf(running);
    expect(await (await fetch(`${url}/api/one`)).text()).toBe("cjs");
    expect(await (await fetch(`${url}/api/two`)).text()).toBe("esm");
  });

  it("lets hooks replace what a function gets, runs and answers", async () => {
    await using app = await makeApp({
      source: `app.http("hooked", { authLevel: "anonymous", handler: (request, context) => { context.log("a line"); throw new Error("from the function"); } });
        app.hook.log((context) => { context.message = "[log hook] " + context.message; });
        app.hook.preInvocation((context) => {
          const inner = context.functionHandler;
          context.functionHandler = (...all) => inner(...all);
          context.hookData.seen = true;
        });
        app.hook.postInvocation((context) => { const text = context.error.message; context.error = null; context.result = { body: text + " " + context.hookData.seen }; });`,
    });
    await using running = forkHost(app);
    expect(await (await fetch(`${await addressOf(running)}/api/hooked`)).text()).toBe("from the function true");
    expect(running.output()).toContain("[log hook] a line");
  });
});
