import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlobSASPermissions, BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasCode } from "../../../errors.ts";
import type { StorageOperation } from "../../../storage/operation.ts";
import { startStorage, type LocalStorage } from "../../../storage/storage.ts";
import { accountKey, blobService, makeWorld, pages, queueService, statusOf } from "./world.ts";

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
    expect((await queue.receiveMessages()).receivedMessageItems.map((message) => message.messageText)).toEqual([
      "hello",
    ]);
    expect(await queueService(storage, "cachewe").getQueueClient("hints").exists()).toBe(false);
  });

  it("refuses another account's name and key at an account's server", async () => {
    const origin = new URL(storage.account("cachewe").blobUrl).origin;
    const foreign = new BlobServiceClient(
      `${origin}/targetne`,
      new StorageSharedKeyCredential("targetne", accountKey("targetne")),
    );
    expect(await statusOf(foreign.getContainerClient("foreign").create())).toBe(404);
    const wrongKey = new BlobServiceClient(
      `${origin}/cachewe`,
      new StorageSharedKeyCredential("cachewe", accountKey("targetne")),
    );
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
    expect(
      seen.map((one) => [one.service, one.operation, one.container, one.blob, one.status, one.lengthBytes]),
    ).toEqual([
      ["blob", "Container_Create", "observed", "", 201, 0],
      ["blob", "PageBlob_Create", "observed", "0000000001/disk.vhd", 201, 0],
      ["blob", "PageBlob_UploadPages", "observed", "0000000001/disk.vhd", 201, 512],
      ["blob", "Blob_GetProperties", "observed", "none", 404, 0],
    ]);
    expect(seen[2]?.requestId).not.toBe("");
    expect(seen[2]?.clientRequestId).not.toBe("");
    expect(storage.operationCounts("cachewe").get("PageBlob_UploadPages")).toBe(before + 1);
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

describe("a listener that fails", () => {
  it("cuts the connection, so that nothing is acknowledged that it did not accept, and is reported when the storage closes", async () => {
    await using world = await makeWorld();
    const { storage, container } = world;
    await container.getBlockBlobClient("blob").upload("a", 1);
    const stop = storage.observe(() => {
      throw new Error("the listener failed");
    });
    await expect(container.getBlockBlobClient("other").upload("a", 1)).rejects.toMatchObject({ statusCode: undefined });
    await expect(container.getBlockBlobClient("blob").download()).rejects.toMatchObject({ statusCode: undefined });
    stop();
    await container.getBlockBlobClient("blob").download();
    await expect(storage.close()).rejects.toMatchObject({
      code: "internal",
      cause: { message: "the listener failed" },
    });
  });
});

describe("a client that dies in the middle of an upload", () => {
  it.each(["memory", "disk"] as const)("changes nothing and blocks no other client: %s", async (persistence) => {
    await using world = await makeWorld([], persistence);
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(8192);
    await disk.uploadPages(pages(1, 16), 0, 8192);
    const { hostname, port } = new URL(disk.url);
    const contents: boolean[] = [];
    let answer = "";
    // The last one sends everything and shows that the others were refused for nothing but their end.
    for (let attempt = 0; attempt <= 16; attempt++) {
      // A signed address stands in for the header, so that the request can be sent by hand.
      const url = new URL(
        await disk.generateSasUrl({
          permissions: BlobSASPermissions.parse("rw"),
          expiresOn: new Date(Date.now() + 3_600_000),
        }),
      );
      const socket = connect(Number(port), hostname);
      await once(socket, "connect");
      const head = [
        `PUT ${url.pathname}${url.search}&comp=page HTTP/1.1`,
        `host: ${url.host}`,
        "x-ms-version: 2026-06-06",
        "x-ms-page-write: update",
        "x-ms-range: bytes=0-8191",
        "content-length: 8192",
      ];
      socket.write(`${head.join("\r\n")}\r\n\r\n`);
      socket.write(pages(2, attempt));
      if (attempt % 2 === 0) await world.container.getProperties();
      contents.push((await disk.downloadToBuffer()).equals(pages(1, 16)));
      if (attempt === 16) answer = String(await once(socket, "data"));
      socket.destroy();
    }
    expect(answer).toContain("201 Created");
    expect(contents.slice(0, 16)).toEqual(Array.from({ length: 16 }, () => true));
    expect(await disk.downloadToBuffer()).toEqual(pages(2, 16));
  });
});

describe("telemetry", () => {
  it("is not started: the module that stands in for its client throws when it is used, and no request uses it", async () => {
    const require = createRequire(import.meta.url);
    const standIn: { readonly TelemetryClient?: unknown } = require("applicationinsights");
    expect(() => standIn.TelemetryClient).toThrow("telemetry is off");
    await using world = await makeWorld();
    await world.container.getBlockBlobClient("blob").upload("a", 1);
    const { AzuriteTelemetryClient } = require("azurite/dist/src/common/Telemetry");
    const { enableTelemetry, initialized, eventClient, requestClient } = AzuriteTelemetryClient;
    expect({ enableTelemetry, eventClient, requestClient }).toEqual({
      enableTelemetry: false,
      eventClient: undefined,
      requestClient: undefined,
    });
    expect(initialized).not.toBe(true);
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
      (error) =>
        hasCode(error, "port-in-use") && error.facts["option"] === "queuePort" && error.hint.includes("cachewe"),
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
