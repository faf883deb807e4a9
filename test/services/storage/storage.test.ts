import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasCode } from "../../../replication/errors.ts";
import type { StorageOperation } from "../../../local/storage/operation.ts";
import { startStorage } from "../../../local/storage/storage.ts";
import type { LocalStorage } from "../../../local/storage/storage.ts";
import { accountKey, blobService, pages, queueService, statusOf } from "./world.ts";

describe("storage of two regions", () => {
  let folder: string;
  let storage: LocalStorage;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "leeward-storage-"));
    storage = await startStorage({
      folder,
      persistence: "memory",
      accounts: [
        { name: "cachewe", region: "westeurope", blobPort: 0, queuePort: 0 },
        { name: "targetne", region: "northeurope", blobPort: 0, queuePort: 0 },
      ],
      key: accountKey,
    });
  });
  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true });
  });

  it("serves blobs and queues of each account apart", async () => {
    const cache = blobService(storage, "cachewe").getContainerClient("apart");
    await cache.create();
    await cache.getBlockBlobClient("a").upload("here", 4);
    expect(await blobService(storage, "targetne").getContainerClient("apart").exists()).toBe(false);
    const queue = queueService(storage, "targetne").getQueueClient("hints");
    await queue.create();
    await queue.sendMessage("hello");
    expect((await queue.receiveMessages()).receivedMessageItems.map((message) => message.messageText)).toEqual(["hello"]);
    expect(await queueService(storage, "cachewe").getQueueClient("hints").exists()).toBe(false);
  });

  it("refuses another account's name and key at an account's server", async () => {
    const origin = new URL(storage.account("cachewe").blobUrl).origin;
    const foreign = new BlobServiceClient(`${origin}/targetne`, new StorageSharedKeyCredential("targetne", accountKey("targetne")));
    expect(await statusOf(foreign.getContainerClient("foreign").create())).toBe(404);
    const wrongKey = new BlobServiceClient(`${origin}/cachewe`, new StorageSharedKeyCredential("cachewe", accountKey("targetne")));
    expect(await statusOf(wrongKey.getContainerClient("foreign").create())).toBe(403);
    const emulator = new BlobServiceClient(
      `${origin}/devstoreaccount1`,
      new StorageSharedKeyCredential("devstoreaccount1", accountKey("cachewe")),
    );
    expect(await statusOf(emulator.getContainerClient("foreign").create())).toBe(404);
  });

  it("reports each operation after its effect and before its answer", async () => {
    const seen: StorageOperation[] = [];
    const stop = storage.observe((operation) => seen.push(operation));
    const container = blobService(storage, "cachewe").getContainerClient("observed");
    await container.create();
    expect(seen).toHaveLength(1);
    const before = storage.operationCounts("cachewe").get("PageBlob_UploadPages") ?? 0;
    const disk = container.getPageBlobClient("0000000001/disk.vhd");
    await disk.create(4096);
    await disk.uploadPages(pages(1), 512, 512);
    expect(await statusOf(container.getBlobClient("none").getProperties())).toBe(404);
    stop();
    await container.delete();
    expect(seen.map((one) => [one.service, one.operation, one.container, one.blob, one.status, one.lengthBytes])).toEqual([
      ["blob", "Container_Create", "observed", "", 201, 0],
      ["blob", "PageBlob_Create", "observed", "0000000001/disk.vhd", 201, 0],
      ["blob", "PageBlob_UploadPages", "observed", "0000000001/disk.vhd", 201, 512],
      ["blob", "Blob_GetProperties", "observed", "none", 404, 0],
    ]);
    expect(seen[2]?.requestId).not.toBe("");
    expect(seen[2]?.clientRequestId).not.toBe("");
    expect(storage.operationCounts("cachewe").get("PageBlob_UploadPages")).toBe(before + 1);
  });

  it("cuts the connection when a listener throws, so that nothing is answered that did not hold", async () => {
    const stop = storage.observe((operation) => {
      if (operation.container === "cut") throw new Error("the listener failed");
    });
    const request = blobService(storage, "cachewe").getContainerClient("cut").create();
    await expect(request).rejects.toMatchObject({ statusCode: undefined });
    stop();
  });

  it("takes one region away and brings it back", async () => {
    const cache = blobService(storage, "cachewe");
    storage.setReachable("cachewe", false);
    await expect(cache.getProperties()).rejects.toMatchObject({ statusCode: undefined });
    await blobService(storage, "targetne").getProperties();
    storage.setReachable("cachewe", true);
    await cache.getProperties();
  });
});

describe("starting storage", () => {
  it("names the account and the option when a port is taken", async () => {
    const folder = await mkdtemp(join(tmpdir(), "leeward-storage-"));
    const other = createServer();
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const start = startStorage({
      folder,
      persistence: "memory",
      accounts: [{ name: "cachewe", region: "westeurope", blobPort: 0, queuePort: port }],
      key: accountKey,
    });
    await expect(start).rejects.toSatisfy(
      (error) => hasCode(error, "port-in-use") && error.facts["option"] === "queuePort" && error.hint.includes("cachewe"),
    );
    other.close();
    await rm(folder, { recursive: true });
  });

  it.each([[["Cache"]], [["ab"]], [["same", "same"]]])("refuses the account names %j", async (names) => {
    const accounts = names.map((name) => ({ name, region: "westeurope", blobPort: 0, queuePort: 0 }));
    const start = startStorage({ folder: tmpdir(), persistence: "memory", accounts, key: accountKey });
    await expect(start).rejects.toSatisfy((error) => hasCode(error, "configuration-invalid"));
  });
});
