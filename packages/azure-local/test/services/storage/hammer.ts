import { BlobServiceClient, type ContainerClient, type PageBlobClient } from "@azure/storage-blob";
import { QueueServiceClient, type QueueClient } from "@azure/storage-queue";
import { expect } from "vitest";

/**
 * What a client knows: each worker has objects of its own and one request under way, so at most that one has an
 * unknown outcome.
 */
export interface Hammer {
  /** Works until requests fail, because the server is gone. `acknowledged` is called after each answer. */
  work(connectionString: string, acknowledged: () => void): Promise<void>;
  /** Compares what the server holds with what was answered; an unknown outcome is settled by looking. */
  verify(connectionString: string): Promise<void>;
}

const DISK_PAGES = 64;
const ONCE = { retryOptions: { maxTries: 1 } };

/** Page writes, clears, sequence numbers and snapshots of one page blob. */
export function pageHammer(name: string, random: () => number): Hammer {
  let content: Buffer = Buffer.alloc(512 * DISK_PAGES);
  let unknown: Buffer | undefined;
  let created = false;
  let sequenceNumber = 0;
  const points: { readonly snapshot: string; readonly content: Buffer }[] = [];
  const client = (connectionString: string): PageBlobClient => containerOf(connectionString).getPageBlobClient(name);

  const step = async (disk: PageBlobClient): Promise<void> => {
    const first = Math.floor(random() * DISK_PAGES);
    const count = 1 + Math.floor(random() * Math.min(8, DISK_PAGES - first));
    const choice = random();
    if (choice < 0.15) {
      const answer = await disk.createSnapshot();
      points.push({ snapshot: answer.snapshot ?? "", content });
    } else if (choice < 0.25) {
      await disk.updateSequenceNumber("max", sequenceNumber + 1);
      sequenceNumber++;
    } else {
      const value = choice < 0.4 ? 0 : 1 + Math.floor(random() * 255);
      unknown = Buffer.from(content).fill(value, 512 * first, 512 * (first + count));
      if (value === 0) await disk.clearPages(512 * first, 512 * count);
      else await disk.uploadPages(Buffer.alloc(512 * count, value), 512 * first, 512 * count);
      content = unknown;
      unknown = undefined;
    }
  };
  return {
    work: async (connectionString, acknowledged) => {
      const disk = client(connectionString);
      await untilGone(async () => {
        if (created) await step(disk);
        else await disk.create(512 * DISK_PAGES);
        created = true;
        acknowledged();
      });
    },
    verify: async (connectionString) => {
      if (!created) return;
      const disk = client(connectionString);
      const found = await disk.downloadToBuffer();
      expect(
        [content, unknown ?? content].some((candidate) => candidate.equals(found)),
        `content of ${name}`,
      ).toBe(true);
      content = found;
      unknown = undefined;
      const numberFound = (await disk.getProperties()).blobSequenceNumber ?? 0;
      expect(numberFound - sequenceNumber, `sequence number of ${name}`).toBeOneOf([0, 1]);
      sequenceNumber = numberFound;
      const held = await Promise.all(
        points.map(async (point) => (await disk.withSnapshot(point.snapshot).downloadToBuffer()).equals(point.content)),
      );
      expect(held, `snapshots of ${name}`).toEqual(points.map(() => true));
    },
  };
}

/** Blobs written once, create-only, and some of them removed again. */
export function blobHammer(name: string, random: () => number): Hammer {
  const present = new Map<string, string>();
  const removed = new Set<string>();
  let number = 0;
  return {
    work: async (connectionString, acknowledged) => {
      const container = containerOf(connectionString);
      await untilGone(async () => {
        const [oldest] = present.keys();
        if (oldest !== undefined && random() < 0.3) {
          // Until this request is answered, the state of the blob is unknown.
          present.delete(oldest);
          await container.deleteBlob(oldest);
          removed.add(oldest);
        } else {
          const blob = `${name}/${number++}`;
          const text = `${blob} ${random()}`;
          await container.getBlockBlobClient(blob).upload(text, text.length, { conditions: { ifNoneMatch: "*" } });
          present.set(blob, text);
        }
        acknowledged();
      });
    },
    verify: async (connectionString) => {
      const container = containerOf(connectionString);
      const texts = await Promise.all(
        [...present.keys()].map(async (blob) => (await container.getBlobClient(blob).downloadToBuffer()).toString()),
      );
      expect(texts).toEqual([...present.values()]);
      const names: string[] = [];
      for await (const blob of container.listBlobsFlat({ prefix: `${name}/` })) names.push(blob.name);
      expect(
        names.filter((blob) => removed.has(blob)),
        `removed blobs of ${name}`,
      ).toEqual([]);
    },
  };
}

/** Messages sent, and some of them deleted again. */
export function queueHammer(name: string, random: () => number): Hammer {
  const present = new Map<string, { readonly id: string; readonly receipt: string }>();
  const removed = new Set<string>();
  let number = 0;
  const client = (connectionString: string): QueueClient =>
    QueueServiceClient.fromConnectionString(connectionString, ONCE).getQueueClient(name);
  return {
    work: async (connectionString, acknowledged) => {
      const queue = client(connectionString);
      await untilGone(async () => {
        const [oldest] = present;
        if (oldest !== undefined && random() < 0.4) {
          const [text, { id, receipt }] = oldest;
          present.delete(text);
          await queue.deleteMessage(id, receipt);
          removed.add(text);
        } else {
          const text = `${name} ${number++}`;
          const sent = await queue.sendMessage(text);
          present.set(text, { id: sent.messageId, receipt: sent.popReceipt });
        }
        acknowledged();
      });
    },
    verify: async (connectionString) => {
      const queue = client(connectionString);
      const found = new Set<string>();
      for (;;) {
        // Messages stay hidden afterwards, so each queue is looked through once; their deletion goes on with the new
        // receipts.
        const { receivedMessageItems } = await queue.receiveMessages({ numberOfMessages: 32, visibilityTimeout: 600 });
        if (receivedMessageItems.length === 0) break;
        for (const message of receivedMessageItems) {
          found.add(message.messageText);
          if (present.has(message.messageText))
            present.set(message.messageText, { id: message.messageId, receipt: message.popReceipt });
        }
      }
      expect(
        [...present.keys()].filter((text) => !found.has(text)),
        `lost messages of ${name}`,
      ).toEqual([]);
      expect(
        [...removed].filter((text) => found.has(text)),
        `deleted messages of ${name}`,
      ).toEqual([]);
    },
  };
}

export function containerOf(connectionString: string): ContainerClient {
  return BlobServiceClient.fromConnectionString(connectionString, ONCE).getContainerClient("kill");
}

async function untilGone(step: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await step();
    } catch (error) {
      // A request without an answer has no status: the server is gone. Any answer that refuses is a fault.
      if (error instanceof Error && "statusCode" in error && error.statusCode === undefined) return;
      throw error;
    }
  }
}
