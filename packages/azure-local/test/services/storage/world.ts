import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AnonymousCredential, BlobServiceClient, type ContainerClient, newPipeline } from "@azure/storage-blob";
import {
  AnonymousCredential as AnonymousQueueCredential,
  newPipeline as newQueuePipeline,
  QueueServiceClient,
} from "@azure/storage-queue";
import type { MendName } from "../../../storage/mends/mends.ts";
import { startStorage, type LocalStorage } from "../../../storage/storage.ts";

/** One account and a container in it; unreachable or failing requests are not tried again. */
export interface World extends AsyncDisposable {
  readonly storage: LocalStorage;
  readonly container: ContainerClient;
}

export async function makeWorld(
  leaveOut: readonly MendName[] = [],
  persistence: "disk" | "memory" = "memory",
): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-storage-"));
  const storage = await startStorage({
    folder,
    persistence,
    accounts: [{ name: "cachewe", region: "westeurope", blobPort: 0, queuePort: 0 }],
    key: accountKey,
    leaveOut,
  });
  const container = blobService(storage, "cachewe").getContainerClient("disks");
  await container.create();
  return {
    storage,
    container,
    [Symbol.asyncDispose]: async () => {
      await storage.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Keys of throw-away accounts. */
export const accountKey = (account: string): string => createHash("sha256").update(account).digest("base64");

const ONCE = { retryOptions: { maxTries: 1 } };

export function blobService(storage: LocalStorage, account: string): BlobServiceClient {
  return BlobServiceClient.fromConnectionString(storage.account(account).connectionString, ONCE);
}

export function queueService(storage: LocalStorage, account: string): QueueServiceClient {
  return QueueServiceClient.fromConnectionString(storage.account(account).connectionString, ONCE);
}

/**
 * Pipelines that send a bearer token over http, which Azure's own credentials refuse: the header is set for each
 * request (docs/accounts.md).
 */
export function bearerPipelines(bearer: string) {
  const blob = newPipeline(new AnonymousCredential(), ONCE);
  blob.factories.push({
    create: (next) => ({
      sendRequest: (request) => {
        request.headers.set("authorization", `Bearer ${bearer}`);
        return next.sendRequest(request);
      },
    }),
  });
  const queue = newQueuePipeline(new AnonymousQueueCredential(), ONCE);
  queue.factories.push({
    create: (next) => ({
      sendRequest: (request) => {
        request.headers.set("authorization", `Bearer ${bearer}`);
        return next.sendRequest(request);
      },
    }),
  });
  return { blob, queue };
}

/** `pages` pages of 512 bytes, all of one value. */
export const pages = (value: number, count = 1): Buffer => Buffer.alloc(512 * count, value);

/** The HTTP status that a refused request gave, or 0 when it succeeded. */
export async function statusOf(request: Promise<unknown>): Promise<number> {
  try {
    await request;
    return 0;
  } catch (error) {
    if (error instanceof Error && "statusCode" in error) return Number(error.statusCode);
    throw error;
  }
}
