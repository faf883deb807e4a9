import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BlobServiceClient, type ContainerClient } from "@azure/storage-blob";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hasCode } from "../../../errors.ts";
import { type EventGrid, type EventGridOptions, startEventGrid } from "../../../events/event-grid.ts";
import { BLOB_CREATED, type BlobCreatedEvent } from "../../../events/event.ts";
import { startStorage, type LocalStorage } from "../../../storage/storage.ts";
import { accountKey, blobService, pages } from "../storage/world.ts";
import { SUBSCRIPTION } from "./subscription.ts";

describe("events of the local storage", () => {
  let folder: string;
  let storage: LocalStorage;
  let container: ContainerClient;
  const grids: EventGrid[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "leeward-events-"));
    storage = await startStorage({
      folder,
      persistence: "memory",
      accounts: ["cachewe", "targetne"].map((name) => ({ name, region: name, blobPort: 0, queuePort: 0 })),
      key: accountKey,
    });
    container = blobService(storage, "cachewe").getContainerClient("leeward-cache-vm-1");
    await container.create();
  });
  afterEach(async () => {
    await Promise.allSettled(grids.splice(0).map((grid) => grid.close()));
    await storage.close();
    await rm(folder, { recursive: true });
  });

  const start = async (options: Partial<EventGridOptions> = {}): Promise<EventGrid> => {
    const grid = await startEventGrid({
      folder: join(folder, "events"),
      storage,
      subscriptions: [SUBSCRIPTION],
      random: () => 0.5,
      ...options,
    });
    grids.push(grid);
    return grid;
  };
  const put = (name: string): Promise<unknown> => container.getBlockBlobClient(name).upload(name, name.length);
  const received = (): Promise<readonly BlobCreatedEvent[]> => receive(storage.account("targetne").connectionString);

  it("arrive for Put Blob, Put Block List and Copy Blob, of block and page blobs, and for nothing else", async () => {
    const grid = await start();
    await put("0000000001/000000000001");
    const listed = container.getBlockBlobClient("listed");
    await listed.stageBlock("YQ==", "staged", 6);
    await listed.commitBlockList(["YQ=="], { blobHTTPHeaders: { blobContentType: "text/plain" } });
    await (await container.getBlobClient("copied").beginCopyFromURL(listed.url)).pollUntilDone();
    const disk = container.getPageBlobClient("disk");
    await disk.create(4096);
    await disk.uploadPages(pages(1), 0, 512);
    await disk.createSnapshot();
    const refused = container.getBlockBlobClient("listed").upload("no", 2, { conditions: { ifNoneMatch: "*" } });
    await expect(refused).rejects.toMatchObject({ statusCode: 409 });
    await container.deleteBlob("listed");
    await grid.drain();
    const events = await received();
    expect(
      events.map(({ subject, data }) => [
        subject.split("/blobs/")[1],
        data.api,
        data.blobType,
        data.contentType,
        data.contentLength,
      ]),
    ).toEqual([
      ["0000000001/000000000001", "PutBlob", "BlockBlob", "application/octet-stream", 23],
      ["listed", "PutBlockList", "BlockBlob", "text/plain", 6],
      ["copied", "CopyBlob", "BlockBlob", "text/plain", 6],
      ["disk", "PutBlob", "PageBlob", "application/octet-stream", 4096],
    ]);
    const properties = await container.getBlobClient("copied").getProperties();
    expect(`"${events[2]?.data.eTag}"`).toBe(properties.etag);
    expect(new Set(events.map((event) => event.eventType))).toEqual(new Set([BLOB_CREATED]));
    expect(new Set(events.map((event) => event.id)).size).toBe(4);
    const sequencers = events.map((event) => event.data.sequencer);
    expect(sequencers).toEqual(sequencers.toSorted());
    expect(grid.counts()).toEqual({
      published: 4,
      dropped: 0,
      repeated: 0,
      delivered: 4,
      failedAttempts: 0,
      deadLettered: 0,
      waiting: 0,
    });
  });

  it("of other containers and accounts do not match the subscription", async () => {
    const grid = await start();
    for (const account of ["cachewe", "targetne"]) {
      const other = blobService(storage, account).getContainerClient("other");
      await other.create();
      await other.getBlockBlobClient("blob").upload("a", 1);
    }
    const sameName = blobService(storage, "targetne").getContainerClient("leeward-cache-vm-1");
    await sameName.create();
    await sameName.getBlockBlobClient("blob").upload("a", 1);
    expect(grid.counts().published).toBe(0);
  });

  it("are dropped and repeated as the switches say, while the grid runs", async () => {
    const grid = await start({ switches: { dropRatio: 1 } });
    await put("dropped");
    Object.assign(grid.switches, { dropRatio: 0, repeatRatio: 1 });
    await put("repeated");
    grid.switches.repeatRatio = 0;
    await put("once");
    await grid.drain();
    expect((await received()).map(blobName)).toEqual(["repeated", "repeated", "once"]);
    expect(grid.counts()).toMatchObject({ published: 3, dropped: 1, repeated: 1, delivered: 3 });
  });

  it("overtake each other when that is switched on, by seeded random numbers", async () => {
    const numbers = [0.5, 0.9, 0.5, 0.5, 0.45, 0.5, 0.5, 0, 0.5];
    const grid = await start({ random: () => numbers.shift() ?? 0, switches: { reorder: true, delayMs: 100 } });
    await Promise.all([put("a"), put("b"), put("c")]);
    const names = [...(await readLog(folder))];
    await grid.drain();
    expect((await received()).map(blobName)).toEqual(names.toReversed());
  });

  it("wait while the region of the queue is gone, and arrive when it is back", async () => {
    const grid = await start({ retry: { firstMs: 1, maxMs: 10, attempts: 1_000_000 } });
    storage.setReachable("targetne", false);
    await put("early");
    await expect.poll(() => grid.counts().failedAttempts).toBeGreaterThan(2);
    expect(grid.counts()).toMatchObject({ delivered: 0, waiting: 1 });
    storage.setReachable("targetne", true);
    await grid.drain();
    expect((await received()).map(blobName)).toEqual(["early"]);
  });

  it("are dead-lettered with a count when the attempts are used up", async () => {
    const grid = await start({ retry: { firstMs: 1, maxMs: 1, attempts: 3 } });
    storage.setReachable("targetne", false);
    await put("lost");
    await grid.drain();
    expect(grid.counts()).toMatchObject({ delivered: 0, failedAttempts: 3, deadLettered: 1, waiting: 0 });
    expect(await readFile(join(folder, "events/dead-letters.jsonl"), "utf8")).toContain("/blobs/lost");
  });

  it("are delivered by the next grid when this one closes before", async () => {
    const grid = await start({ switches: { delayMs: 3_600_000 } });
    await put("later");
    await grid.close();
    const next = await start();
    await next.drain();
    expect((await received()).map(blobName)).toEqual(["later"]);
  });

  it.each([
    ["not-supported", { ...SUBSCRIPTION, destination: { kind: "webhook" as const, url: "http://127.0.0.1/" } }],
    ["not-supported", { ...SUBSCRIPTION, includedEventTypes: ["Microsoft.Storage.BlobDeleted"] }],
    ["configuration-invalid", { ...SUBSCRIPTION, source: "nobody" }],
    [
      "configuration-invalid",
      { ...SUBSCRIPTION, destination: { kind: "storage-queue" as const, account: "nobody", queue: "hints" } },
    ],
  ] as const)("are refused with %s for %j", async (code, subscription) => {
    await expect(start({ subscriptions: [subscription] })).rejects.toSatisfy((error) => hasCode(error, code));
  });
});

describe("events of a process that is killed with SIGKILL", () => {
  it("arrive at least once for every blob that was acknowledged", async () => {
    const folder = await mkdtemp(join(tmpdir(), "leeward-events-"));
    const acknowledged: string[] = [];
    // No delivery before the kill, then kills in the middle of deliveries.
    for (const [round, delayMs] of [3_600_000, 0, 5].entries()) {
      const { child, cache } = await startChild(folder, delayMs);
      const container = BlobServiceClient.fromConnectionString(cache, {
        retryOptions: { maxTries: 1 },
      }).getContainerClient("leeward-cache-vm-1");
      await container.createIfNotExists();
      const putUntilGone = async (writer: number): Promise<void> => {
        for (let number = 0; ; number++) {
          const name = `${round}-${writer}-${number}`;
          try {
            await container.getBlockBlobClient(name).upload(name, name.length);
          } catch {
            return;
          }
          acknowledged.push(name);
          if (acknowledged.length === 40 * (round + 1)) child.kill("SIGKILL");
        }
      };
      await Promise.all([0, 1, 2].map(putUntilGone));
    }
    const { child, target } = await startChild(folder, 0);
    const found = new Set<string>();
    const missing = (): number => acknowledged.filter((name) => !found.has(name)).length;
    while (missing() > 0) for (const event of await receive(target)) found.add(blobName(event));
    expect(missing()).toBe(0);
    child.kill("SIGKILL");
    await once(child, "exit");
    await rm(folder, { recursive: true });
  });
});

function blobName(event: BlobCreatedEvent): string {
  return event.subject.split("/blobs/")[1] ?? "";
}

/** Takes every message that is visible, in the queue's order. */
async function receive(connectionString: string): Promise<readonly BlobCreatedEvent[]> {
  const queue = QueueServiceClient.fromConnectionString(connectionString).getQueueClient("leeward-hints");
  const events: BlobCreatedEvent[] = [];
  for (;;) {
    const { receivedMessageItems } = await queue.receiveMessages({ numberOfMessages: 32 });
    if (receivedMessageItems.length === 0) return events;
    for (const message of receivedMessageItems) {
      events.push(JSON.parse(Buffer.from(message.messageText, "base64").toString()));
      await queue.deleteMessage(message.messageId, message.popReceipt);
    }
  }
}

/** The names of the blobs in the order in which their events were published. */
async function readLog(folder: string): Promise<readonly string[]> {
  const text = await readFile(join(folder, "events/waiting.log"), "utf8");
  return [...text.matchAll(/"subject":"[^"]*\/blobs\/([^"]*)"/g)].map((match) => match[1] ?? "");
}

async function startChild(
  folder: string,
  delayMs: number,
): Promise<{ child: ChildProcess; cache: string; target: string }> {
  const program = fileURLToPath(new URL("events-child.ts", import.meta.url));
  const child = spawn(process.execPath, [program, folder, String(delayMs)], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const ended = once(child, "exit").then(() => {
    throw new Error("The process ended before it was ready.");
  });
  ended.catch(() => undefined);
  if (child.stdout === null) throw new Error("The process has no output.");
  const [line] = await Promise.race([once(child.stdout, "data"), ended]);
  const [cache = "", target = ""] = String(line).trim().split(" ");
  return { child, cache, target };
}
