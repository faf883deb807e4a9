import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { FUNCTIONS_MESSAGE_INVISIBLE_MS } from "../../../limits.ts";
import { fakeClock } from "../../functions-host/fake-clock.ts";
import {
  type AppFolder,
  type RunningHost,
  type StorageWorld,
  addressOf,
  base64,
  forkHost,
  makeApp,
  makeStorage,
  runHost,
} from "./world.ts";

/** Each test has a queue of its own; the functions tell what they saw through a global of this process. */
const SOURCE = `
const seen = (globalThis.seenByQueueTests ??= []);
const gates = (globalThis.gatesOfQueueTests ??= new Map());
const record = (name) => async (message, context) => {
  seen.push({ name, message, metadata: context.triggerMetadata });
  await gates.get(message.gate)?.wait;
  if (message.fail === true) throw new Error("told to fail");
};
for (const name of ["good", "bad", "busy", "stuck", "last"]) {
  app.storageQueue(name, { queueName: "%PREFIX%-" + name, connection: "TestStorage", handler: record(name) });
}
app.storageQueue("dead", { queueName: "%PREFIX%-dead-poison", connection: "TestStorage", handler: record("dead") });
`;
const HOST_JSON = {
  version: "2.0",
  extensions: {
    queues: {
      batchSize: 2,
      newBatchThreshold: 1,
      maxPollingInterval: "00:00:00.200",
      visibilityTimeout: "00:00:01",
      maxDequeueCount: 2,
    },
  },
};

interface Seen {
  readonly name: string;
  readonly message: unknown;
  readonly metadata: Readonly<Record<string, unknown>>;
}

interface Gate {
  readonly wait: Promise<void>;
  readonly open: () => void;
}

const globals = globalThis as unknown as { seenByQueueTests: Seen[]; gatesOfQueueTests: Map<string, Gate> };
const seenBy = (name: string): readonly Seen[] => globals.seenByQueueTests.filter((seen) => seen.name === name);
const soon = { timeout: 20_000, interval: 20 };

function closeGate(name: string): Gate {
  let open = (): void => undefined;
  const wait = new Promise<void>((resolve) => {
    open = resolve;
  });
  const gate = { wait, open };
  globals.gatesOfQueueTests.set(name, gate);
  return gate;
}

describe("queue functions", () => {
  let world: StorageWorld;
  let app: AppFolder;
  let running: RunningHost;
  const queue = (name: string) => world.queues.getQueueClient(`t-${name}`);
  const send = (name: string, message: unknown) => queue(name).sendMessage(base64(JSON.stringify(message)));
  const countOf = async (name: string): Promise<number | undefined> =>
    (await queue(name).getProperties()).approximateMessagesCount;

  beforeAll(async () => {
    world = await makeStorage();
    app = await makeApp({ source: SOURCE, hostJson: HOST_JSON });
    await queue("dead-poison").create();
    running = await runHost(app, { environment: { TestStorage: world.connection, PREFIX: "t" } });
    for (const name of ["good", "bad", "busy", "stuck", "last"])
      await vi.waitFor(async () => expect(await queue(name).exists()).toBe(true), soon);
  });
  afterAll(async () => {
    await running[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  it("see the message parsed, with what the queue knows about it, and it is deleted after success", async () => {
    const sent = await send("good", { item: "vm1" });
    await vi.waitFor(() => expect(seenBy("good")).toHaveLength(1), soon);
    expect(seenBy("good")[0]).toMatchObject({
      message: { item: "vm1" },
      metadata: {
        queueTrigger: { item: "vm1" },
        id: sent.messageId,
        dequeueCount: 1,
        insertionTime: sent.insertedOn.toISOString(),
      },
    });
    await vi.waitFor(async () => expect(await countOf("good")).toBe(0), soon);
    expect(running.host.invocations()["good"]).toEqual({ started: 1, succeeded: 1, failed: 0 });
  });

  it("get a failed message again, counted, and the poison queue gets it after maxDequeueCount", async () => {
    await send("bad", { fail: true, id: 7 });
    await vi.waitFor(
      async () => expect((await queue("bad-poison").peekMessages()).peekedMessageItems).toHaveLength(1),
      soon,
    );
    expect(seenBy("bad").map(({ metadata }) => metadata["dequeueCount"])).toEqual([1, 2]);
    const [poisoned] = (await queue("bad-poison").peekMessages()).peekedMessageItems;
    expect(poisoned?.messageText).toBe(base64('{"fail":true,"id":7}'));
    await vi.waitFor(async () => expect(await countOf("bad")).toBe(0), soon);
  });

  it("never see a message that is not base64: it goes to the poison queue at once", async () => {
    await queue("last").sendMessage('{"plain":"text"}');
    await vi.waitFor(
      async () => expect((await queue("last-poison").peekMessages()).peekedMessageItems).toHaveLength(1),
      soon,
    );
    expect(seenBy("last")).toEqual([]);
  });

  it("hold a message invisible for ten minutes while they run", async () => {
    const gate = closeGate("busy");
    await send("busy", { gate: "busy" });
    await vi.waitFor(() => expect(seenBy("busy")).toHaveLength(1), soon);
    const metadata = seenBy("busy")[0]?.metadata;
    const nextVisibleMs = Date.parse(String(metadata?.["nextVisibleTime"]));
    const insertedMs = Date.parse(String(metadata?.["insertionTime"]));
    expect(nextVisibleMs - insertedMs).toBeGreaterThanOrEqual(FUNCTIONS_MESSAGE_INVISIBLE_MS - 1000);
    expect((await queue("busy").receiveMessages()).receivedMessageItems).toEqual([]);
    gate.open();
    await vi.waitFor(async () => expect(await countOf("busy")).toBe(0), soon);
  });

  it("run at most batchSize + newBatchThreshold at a time", async () => {
    const gates = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => closeGate(`stuck${index}`));
    for (const index of gates.keys()) await send("stuck", { gate: `stuck${index}` });
    const polls = (): number => world.storage.operationCounts("hostne").get("Messages_Dequeue") ?? 0;
    const running = async (expected: number): Promise<void> => {
      await vi.waitFor(() => expect(seenBy("stuck")).toHaveLength(expected), soon);
      const before = polls();
      await vi.waitFor(() => expect(polls()).toBeGreaterThan(before + 20), soon);
      expect(seenBy("stuck")).toHaveLength(expected);
    };
    // Two fill the batch; when one of them is done, one is left, which is the threshold: two more are fetched.
    await running(2);
    gates[0]?.open();
    await running(4);
    for (const gate of gates) gate.open();
    await vi.waitFor(async () => expect(await countOf("stuck")).toBe(0), soon);
    expect(seenBy("stuck")).toHaveLength(8);
  });

  it("leave a failed message of a poison queue invisible, so that it does not return at once", async () => {
    const operations = (name: string): number => world.storage.operationCounts("hostne").get(name) ?? 0;
    const updates = operations("MessageId_Update");
    await send("dead-poison", { fail: true });
    await vi.waitFor(() => expect(running.host.invocations()["dead"]?.failed).toBe(1), soon);
    const polls = operations("Messages_Dequeue");
    await vi.waitFor(() => expect(operations("Messages_Dequeue")).toBeGreaterThan(polls + 20), soon);
    expect(operations("MessageId_Update")).toBe(updates);
    expect(await countOf("dead-poison")).toBe(1);
    expect((await queue("dead-poison").receiveMessages()).receivedMessageItems).toEqual([]);
  });
});

describe("a queue function", () => {
  const source = (body: string): string =>
    `app.storageQueue("work", { queueName: "work", connection: "TestStorage", handler: async (message, context) => { ${body} } });`;
  const hostJson = { version: "2.0", extensions: { queues: { maxPollingInterval: "00:00:00.200" } } };

  it("that is killed leaves its message invisible for the rest of ten minutes, as on Azure", async () => {
    await using world = await makeStorage();
    await using app = await makeApp({
      source: source(
        "process.stdout.write(`VISIBLE=${context.triggerMetadata.nextVisibleTime}\\n`); await new Promise(() => setInterval(() => {}, 1000));",
      ),
      hostJson,
    });
    const queue = world.queues.getQueueClient("work");
    await queue.create();
    const sent = await queue.sendMessage(base64("{}"));
    await using running = forkHost(app, { TestStorage: world.connection });
    await addressOf(running);
    await vi.waitFor(() => expect(running.output()).toMatch(/VISIBLE=.+\n/), soon);
    running.child.kill("SIGKILL");
    expect(await running.exited).toBe("SIGKILL");
    expect((await queue.receiveMessages()).receivedMessageItems).toEqual([]);
    expect((await queue.getProperties()).approximateMessagesCount).toBe(1);
    const nextVisibleMs = Date.parse(/VISIBLE=(.+)\n/.exec(running.output())?.[1] ?? "");
    expect(nextVisibleMs - sent.insertedOn.getTime()).toBeGreaterThanOrEqual(FUNCTIONS_MESSAGE_INVISIBLE_MS - 1000);
  });

  it.each([
    { words: "comes again when its worker has died by itself and another process takes its place", again: true },
    { words: "stays invisible when the process was killed as a whole instance is", again: false },
  ])("that dies: its message $words", async ({ again }) => {
    await using world = await makeStorage();
    await using app = await makeApp({
      source: source(`
        const times = context.triggerMetadata.dequeueCount;
        if (times === 1 && message.dies) { console.log("dies"); setTimeout(() => process.exit(7), 50); await new Promise(() => {}); }
        console.log("ran " + message.name + " " + times);`),
      hostJson,
    });
    const queue = world.queues.getQueueClient("work");
    await queue.create();
    await queue.sendMessage(base64('{"name":"first","dies":true}'));
    const environment = { TestStorage: world.connection, AZURE_LOCAL_DURABLE_FOLDER: join(app.folder, "state") };
    {
      await using running = forkHost(app, environment);
      expect(await running.exited).toBe(7);
    }
    await using running = forkHost(app, { ...environment, ...(again ? { AZURE_LOCAL_AFTER_DEATH: "1" } : {}) });
    await addressOf(running);
    await vi.waitFor(() => expect(running.output()).toContain(again ? "ran first 2" : "Host started"), soon);
    // A later message shows that the queue has been polled since.
    await queue.sendMessage(base64('{"name":"second"}'));
    await vi.waitFor(() => expect(running.output()).toContain("ran second 1"), soon);
    expect(running.output().includes("ran first")).toBe(again);
    await vi.waitFor(
      async () => expect((await queue.getProperties()).approximateMessagesCount).toBe(again ? 0 : 1),
      soon,
    );
    await vi.waitFor(
      async () => expect(JSON.parse(await readFile(join(app.folder, "state/in-work.json"), "utf8"))).toEqual([]),
      soon,
    );
  });

  it("keeps its message by renewal, however long it runs, and deletes it with the last receipt", async () => {
    await using world = await makeStorage();
    // One message at a time: while it runs, the queue is not polled.
    const extensions = { queues: { batchSize: 1, newBatchThreshold: 0 } };
    await using app = await makeApp({
      source: source("await globalThis.renewalGate;"),
      hostJson: { version: "2.0", extensions },
    });
    let open = (): void => undefined;
    Object.assign(globalThis, { renewalGate: new Promise<void>((resolve) => (open = resolve)) });
    const queue = world.queues.getQueueClient("work");
    await queue.create();
    await queue.sendMessage(base64("{}"));
    const clock = fakeClock(Date.now());
    const updates = (): number => world.storage.operationCounts("hostne").get("MessageId_Update") ?? 0;
    await using running = await runHost(app, { environment: { TestStorage: world.connection }, clock });
    await vi.waitFor(() => expect(running.host.invocations()["work"]?.started).toBe(1), soon);
    for (const expected of [1, 2, 3]) {
      await clock.advance(FUNCTIONS_MESSAGE_INVISIBLE_MS / 2);
      await vi.waitFor(() => expect(updates()).toBe(expected), soon);
    }
    open();
    await vi.waitFor(async () => expect((await queue.getProperties()).approximateMessagesCount).toBe(0), soon);
  });

  it("continues after the store was unavailable for a while", async () => {
    await using world = await makeStorage();
    await using app = await makeApp({ source: source(""), hostJson });
    await using running = await runHost(app, { environment: { TestStorage: world.connection } });
    const queue = world.queues.getQueueClient("work");
    await vi.waitFor(async () => expect(await queue.exists()).toBe(true), soon);
    await queue.delete();
    await vi.waitFor(
      () => expect(running.events).toContainEqual(expect.objectContaining({ event: "queue", level: "warning" })),
      soon,
    );
    await vi.waitFor(async () => expect(await queue.exists()).toBe(true), soon);
    await queue.sendMessage(base64("{}"));
    await vi.waitFor(() => expect(running.host.invocations()["work"]?.succeeded).toBe(1), soon);
  });
});
