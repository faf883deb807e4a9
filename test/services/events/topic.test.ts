import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AzureKeyCredential, EventGridPublisherClient } from "@azure/eventgrid";
import { startTopic, type Topic, type TopicOptions, type TopicSubscription } from "@leeward/azure-local/events/topic";
import { startStorage, type LocalStorage } from "@leeward/azure-local/storage";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openEventPublisher } from "../../../azure/events.ts";
import { accountKey, queueService } from "../../../packages/azure-local/test/services/storage/world.ts";
import type { LeewardEvent } from "../../../replication/events/event.ts";

const KEY = "key-of-the-topic";
const QUEUE: TopicSubscription = {
  name: "queue",
  destination: { kind: "storage-queue", account: "targetne", queue: "told" },
};
const EVENT: LeewardEvent = {
  id: "one",
  eventType: "Leeward.RecoveryPointCreated",
  subject: "/replicationProtectedItems/web-1/recoveryPoints/p",
  eventTimeMs: Date.UTC(2026, 0, 15),
  dataVersion: "1.0",
  data: { protectedItem: "web-1" },
  times: { sourceTime: Date.UTC(2026, 0, 14), endTime: undefined },
};

describe("a topic of the local Event Grid", () => {
  let folder: string;
  let storage: LocalStorage;
  const closing: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "leeward-topic-"));
    const accounts = [{ name: "targetne", region: "northeurope", blobPort: 0, queuePort: 0 }];
    storage = await startStorage({ folder: join(folder, "storage"), persistence: "memory", accounts, key: accountKey });
  });
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
    await storage.close();
    await rm(folder, { recursive: true });
  });

  const start = async (options: Partial<TopicOptions> = {}): Promise<Topic> => {
    const retry = { firstMs: 10, maxMs: 10, attempts: 1000 };
    const topic = await startTopic({
      name: "t",
      folder: join(folder, "topic"),
      port: 0,
      key: KEY,
      storage,
      subscriptions: [QUEUE],
      retry,
      ...options,
    });
    closing.push(() => topic.close());
    return topic;
  };
  const client = (topic: Topic, key = KEY) =>
    new EventGridPublisherClient(topic.endpoint, "EventGrid", new AzureKeyCredential(key), {
      allowInsecureConnection: true,
    });
  const receiver = async (statuses: number[]): Promise<{ url: string; received: unknown[] }> => {
    const received: unknown[] = [];
    const answer = (text: string, response: ServerResponse): void => {
      const [event] = JSON.parse(text) as [{ readonly data: { readonly validationCode?: string } }];
      const { validationCode } = event.data;
      if (validationCode !== undefined) {
        response.end(JSON.stringify({ validationResponse: validationCode }));
        return;
      }
      const status = statuses.shift() ?? 200;
      if (status === 200) received.push(event);
      response.writeHead(status).end();
    };
    const server = createServer((request, response) => {
      let text = "";
      request.on("data", (piece) => (text += String(piece)));
      request.on("end", () => answer(text, response));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => new Promise((resolve) => server.close(resolve)));
    const address = server.address();
    return { url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/`, received };
  };
  const queued = async (): Promise<readonly unknown[]> => {
    const messages = await queueService(storage, "targetne")
      .getQueueClient("told")
      .receiveMessages({ numberOfMessages: 32 });
    return messages.receivedMessageItems.map(
      ({ messageText }) => JSON.parse(Buffer.from(messageText, "base64").toString()) as unknown,
    );
  };

  it("takes what the adapter publishes and delivers it to a queue, as Azure does", async () => {
    const topic = await start();
    await openEventPublisher({ endpoint: topic.endpoint, key: KEY }, { now: () => 0 }).publish([EVENT]);
    await expect.poll(() => topic.counts().delivered).toBe(1);
    expect(await queued()).toEqual([
      {
        id: "one",
        topic: expect.stringMatching(/\/providers\/Microsoft\.EventGrid\/topics\/t$/),
        subject: EVENT.subject,
        eventType: EVENT.eventType,
        eventTime: "2026-01-15T00:00:00.000Z",
        dataVersion: "1.0",
        metadataVersion: "1",
        data: { protectedItem: "web-1", sourceTime: "2026-01-14T00:00:00.000Z" },
      },
    ]);
  });

  it("shows Azure's own client Azure's refusals", async () => {
    const topic = await start();
    const event = { eventType: "a", subject: "b", dataVersion: "1", data: {} };
    await expect(client(topic, "wrong").send([event])).rejects.toMatchObject({ statusCode: 401, code: "Unauthorized" });
    const send = client(topic).send([{ ...event, subject: "" }]);
    await expect(send).rejects.toMatchObject({
      statusCode: 400,
      message: expect.stringContaining("configured to receive event in 'EventGridEvent' schema"),
    });
    await expect(client(topic).send([{ ...event, data: { text: "x".repeat(1024 * 1024) } }])).rejects.toMatchObject({
      statusCode: 413,
    });
    const post = (query: string, body: string, headers: Record<string, string>) =>
      fetch(`${topic.endpoint}${query}`, { method: "POST", body, headers });
    expect((await post("?api-version=2018-01-01", "[]", {})).status).toBe(401);
    expect((await post("", "[]", { "aeg-sas-key": KEY })).status).toBe(400);
    const answer = await post("?api-version=2018-01-01", "{}", { "aeg-sas-key": KEY });
    expect(await answer.json()).toMatchObject({
      error: { code: "BadRequest", details: [{ code: "InputJsonInvalid" }] },
    });
    expect(topic.counts().accepted).toBe(0);
  });

  it("asks a webhook first whether it wants events, tries again until it takes them, and filters", async () => {
    const webhook = await receiver([500, 503]);
    const destination = { kind: "webhook", url: webhook.url } as const;
    const topic = await start({
      subscriptions: [
        { name: "hook", destination, subjectBeginsWith: "/replicationProtectedItems/web-1/" },
        { ...QUEUE, includedEventTypes: ["Leeward.JobStateChanged"] },
      ],
    });
    const publisher = openEventPublisher({ endpoint: topic.endpoint, key: KEY }, { now: () => 0 });
    await publisher.publish([EVENT, { ...EVENT, id: "two", subject: "/replicationProtectedItems/web-10/health" }]);
    await expect.poll(() => webhook.received).toEqual([expect.objectContaining({ id: "one" })]);
    expect(topic.counts()).toMatchObject({ accepted: 2, failedAttempts: 2, waiting: 0 });
  });

  it("buries what a webhook calls a bad request, and refuses one that does not answer the handshake", async () => {
    const webhook = await receiver([400]);
    const topic = await start({
      subscriptions: [{ name: "hook", destination: { kind: "webhook", url: webhook.url } }],
    });
    await client(topic).send([{ eventType: "a", subject: "b", dataVersion: "1", data: {} }]);
    await expect.poll(() => topic.counts().deadLettered).toBe(1);
    expect(await readFile(join(folder, "topic", "dead-letters.jsonl"), "utf8")).toContain("The webhook answered 400.");
    const nobody = start({
      subscriptions: [{ name: "hook", destination: { kind: "webhook", url: "http://127.0.0.1:9/" } }],
      folder: join(folder, "no"),
    });
    await expect(nobody).rejects.toMatchObject({ code: "configuration-invalid" });
  });

  it("delivers after its next start what it had accepted before", async () => {
    const webhook = await receiver(Array.from({ length: 5 }, () => 500));
    const subscriptions: readonly TopicSubscription[] = [
      { name: "hook", destination: { kind: "webhook", url: webhook.url } },
    ];
    const first = await start({ subscriptions, retry: { firstMs: 60_000, maxMs: 60_000, attempts: 9 } });
    await client(first).send([{ id: "kept", eventType: "a", subject: "b", dataVersion: "1", data: {} }]);
    await expect.poll(() => first.counts().failedAttempts).toBe(1);
    await closing.pop()?.();
    await start({ subscriptions });
    await expect.poll(() => webhook.received).toEqual([expect.objectContaining({ id: "kept" })]);
  });

  describe("the adapter", () => {
    it("says what the operator can do, shows no key, and leaves a topic that is away alone for a while", async () => {
      const topic = await start();
      let nowMs = 0;
      const wrong = openEventPublisher({ endpoint: topic.endpoint, key: "secret-wrong" }, { now: () => nowMs });
      const refusal: unknown = await wrong.publish([EVENT]).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: "events-refused", facts: { status: 401 } });
      expect(JSON.stringify(refusal) + String(refusal)).not.toContain("secret-wrong");
      const port = new URL(topic.endpoint).port;
      await closing.pop()?.();
      const publisher = openEventPublisher({ endpoint: topic.endpoint, key: KEY }, { now: () => nowMs });
      await expect(publisher.publish([EVENT])).rejects.toMatchObject({ code: "events-unavailable", facts: {} });
      const again = await start({ port: Number(port) });
      await expect(publisher.publish([EVENT])).rejects.toMatchObject({
        code: "events-unavailable",
        facts: { repeated: true },
      });
      nowMs += 20_000;
      await publisher.publish([EVENT]);
      expect(again.counts().accepted).toBe(1);
    });
  });
});
