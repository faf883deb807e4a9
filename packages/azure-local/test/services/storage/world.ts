import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlobServiceClient, type ContainerClient } from "@azure/storage-blob";
import { QueueServiceClient } from "@azure/storage-queue";
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
