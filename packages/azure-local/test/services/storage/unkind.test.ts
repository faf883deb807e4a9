import { once } from "node:events";
import { connect } from "node:net";
import type { PageBlobClient } from "@azure/storage-blob";
import { describe, expect, it } from "vitest";
import { blobService, makeWorld, pages, statusOf } from "./world.ts";

const MIB = 1024 * 1024;
const FOUR_MIB = Buffer.alloc(4 * MIB, 1);

/** Buckets refill only when the test moves the clock. */
function clock(): { ms: number; readonly nowMs: () => number } {
  const time = { ms: 1_000_000, nowMs: () => time.ms };
  return time;
}

async function pageBlob(world: Awaited<ReturnType<typeof makeWorld>>, name: string): Promise<PageBlobClient> {
  const disk = world.container.getPageBlobClient(name);
  await disk.create(64 * MIB);
  return disk;
}

describe("a throttled page blob", () => {
  it("answers 503 ServerBusy when its bucket of bytes is empty, writes nothing, and takes more as the bucket fills", async () => {
    await using world = await makeWorld();
    const { storage } = world;
    const [disk, other] = [await pageBlob(world, "disk"), await pageBlob(world, "folder/other disk")];
    const time = clock();
    storage.throttlePageBlobs("cachewe", { bytesPerSecond: 4 * MIB, burstBytes: 8 * MIB, nowMs: time.nowMs });
    await disk.uploadPages(FOUR_MIB, 0, 4 * MIB);
    await disk.uploadPages(FOUR_MIB, 4 * MIB, 4 * MIB);
    const refused = disk.uploadPages(FOUR_MIB, 8 * MIB, 4 * MIB);
    await expect(refused).rejects.toMatchObject({ statusCode: 503, code: "ServerBusy" });
    // Every page blob has its own buckets; other blobs have none.
    await other.uploadPages(FOUR_MIB, 0, 4 * MIB);
    await world.container.getBlockBlobClient("block").upload(FOUR_MIB, 4 * MIB);
    await world.container.getBlockBlobClient("block").upload(FOUR_MIB, 4 * MIB);
    time.ms += 999;
    expect(await statusOf(disk.uploadPages(FOUR_MIB, 8 * MIB, 4 * MIB))).toBe(503);
    expect((await disk.getPageRanges(0, 64 * MIB)).pageRange).toHaveLength(2);
    time.ms += 1;
    await disk.uploadPages(FOUR_MIB, 8 * MIB, 4 * MIB);
    expect(storage.operationCounts("cachewe").get("Throttled")).toBe(2);
  });

  it("counts requests of every kind, also reads, clears and those to a snapshot", async () => {
    await using world = await makeWorld();
    const disk = await pageBlob(world, "disk");
    const { snapshot = "" } = await disk.createSnapshot();
    const time = clock();
    world.storage.throttlePageBlobs("cachewe", { requestsPerSecond: 1, burstRequests: 4, nowMs: time.nowMs });
    await disk.uploadPages(pages(1), 0, 512);
    await disk.clearPages(0, 512);
    await disk.getProperties();
    await disk.withSnapshot(snapshot).downloadToBuffer(0, 512);
    expect(await statusOf(disk.getProperties())).toBe(503);
    time.ms += 1000;
    expect(await statusOf(disk.clearPages(0, 512))).toBe(0);
    expect(await statusOf(disk.clearPages(0, 512))).toBe(503);
    world.storage.throttlePageBlobs("cachewe", undefined);
    await disk.clearPages(0, 512);
  });

  it("lets a read through that is longer than the bucket is deep, once it is full", async () => {
    await using world = await makeWorld();
    const disk = await pageBlob(world, "disk");
    const time = clock();
    world.storage.throttlePageBlobs("cachewe", { bytesPerSecond: 4 * MIB, burstBytes: 4 * MIB, nowMs: time.nowMs });
    await disk.downloadToBuffer(0, 8 * MIB, { blockSize: 8 * MIB });
    expect(await statusOf(disk.downloadToBuffer(0, 512))).toBe(503);
    time.ms += 1000;
    await disk.downloadToBuffer(0, 8 * MIB, { blockSize: 8 * MIB });
  });

  it("has Azure's limits unless told otherwise, and refuses a bucket that holds no Put Page", async () => {
    await using world = await makeWorld();
    const disk = await pageBlob(world, "disk");
    const time = clock();
    world.storage.throttlePageBlobs("cachewe", { nowMs: time.nowMs });
    for (let at = 0; at < 60 * MIB; at += 4 * MIB) await disk.uploadPages(FOUR_MIB, at, 4 * MIB);
    expect(await statusOf(disk.uploadPages(pages(1), 0, 512))).toBe(503);
    expect(() => world.storage.throttlePageBlobs("cachewe", { burstBytes: 4 * MIB - 512 })).toThrow(
      "at least one Put Page",
    );
  });
});

describe("an account that hangs", () => {
  const ABORTED = { name: "AbortError" };

  it("takes connections and answers nothing, lets others work, and answers again afterwards", async () => {
    await using world = await makeWorld();
    const { storage, container } = world;
    const cache = blobService(storage, "cachewe");
    await cache.getProperties();
    storage.setReachable("cachewe", "hangs");
    const cut = new AbortController();
    const asked = [
      cache.getProperties({ abortSignal: cut.signal }),
      container.getBlockBlobClient("lost").upload("a", 1, { abortSignal: cut.signal }),
    ].map(async (request) => expect(request).rejects.toMatchObject(ABORTED));
    // A later connection has been accepted, so both requests have arrived.
    await connected(cache.url);
    cut.abort();
    await Promise.all(asked);
    storage.setReachable("cachewe", true);
    expect(await container.getBlobClient("lost").exists()).toBe(false);
    await container.getBlockBlobClient("lost").upload("b", 1);
  });

  it("withholds the answer of what was under way, which still lands", async () => {
    await using world = await makeWorld();
    const { storage, container } = world;
    const cut = new AbortController();
    const stop = storage.observe((operation) => {
      if (operation.blob !== "landed") return;
      storage.setReachable("cachewe", "hangs");
      // The effect is there and the answer is due: it would have come long before the client gives up.
      setImmediate(() => setImmediate(() => cut.abort()));
    });
    await expect(
      container.getBlockBlobClient("landed").upload("a", 1, { abortSignal: cut.signal }),
    ).rejects.toMatchObject(ABORTED);
    stop();
    storage.setReachable("cachewe", true);
    expect(await container.getBlobClient("landed").exists()).toBe(true);
  });
});

async function connected(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  socket.destroy();
}
