import { createHash } from "node:crypto";
import type { LocalStorage } from "../../../storage/storage.ts";
import { blobService, queueService } from "./world.ts";

/**
 * Everything that a client can see in an account, as lines that can be compared. Of a queue, the first 32 visible
 * messages.
 */
export async function dump(storage: LocalStorage, account: string): Promise<readonly string[]> {
  const lines: string[] = [];
  const blobs = blobService(storage, account);
  for await (const container of blobs.listContainers()) {
    lines.push(`container ${container.name}`);
    const client = blobs.getContainerClient(container.name);
    for await (const blob of client.listBlobsFlat({ includeSnapshots: true, includeMetadata: true })) {
      const where = client.getBlobClient(blob.name);
      const content = await (
        blob.snapshot === undefined || blob.snapshot === "" ? where : where.withSnapshot(blob.snapshot)
      ).downloadToBuffer();
      const { blobType, contentLength, etag, blobSequenceNumber, lastModified, leaseState } = blob.properties;
      const sha256 = createHash("sha256").update(content).digest("hex");
      const properties = [blobType, contentLength, etag, blobSequenceNumber, lastModified.toISOString(), leaseState];
      lines.push(
        `blob ${container.name}/${blob.name} ${blob.snapshot} ${properties.join(" ")} ${JSON.stringify(blob.metadata)} ${sha256}`,
      );
    }
  }
  const queues = queueService(storage, account);
  for await (const queue of queues.listQueues()) {
    lines.push(`queue ${queue.name}`, ...(await peek(storage, account, queue.name)));
  }
  return lines.sort();
}

async function peek(storage: LocalStorage, account: string, queue: string): Promise<readonly string[]> {
  const { peekedMessageItems } = await queueService(storage, account)
    .getQueueClient(queue)
    .peekMessages({ numberOfMessages: 32 });
  return peekedMessageItems.map(
    (message) => `message ${queue} ${message.messageId} ${message.dequeueCount} ${message.messageText}`,
  );
}
