import { cp, mkdtemp, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hasCode } from "../../../errors.ts";
import { startStorage, type LocalStorage } from "../../../storage/storage.ts";
import { dump } from "./dump.ts";
import { accountKey, blobService, pages, queueService } from "./world.ts";

describe("storage on disk", () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "leeward-restart-"));
  });
  afterEach(async () => {
    await rm(root, { recursive: true });
  });

  const start = (folder: string, redoLogMinBytes?: number): Promise<LocalStorage> =>
    startStorage({
      folder: join(root, folder),
      persistence: "disk",
      accounts: [{ name: "cachewe", region: "westeurope", blobPort: 0, queuePort: 0 }],
      key: accountKey,
      ...(redoLogMinBytes === undefined ? {} : { redoLogMinBytes }),
    });

  // The files as they are after an answer are those that a killed process would leave at that moment.
  it.each([
    { redoLogMinBytes: 1, every: 4, words: "the database rewritten after every answer" },
    { redoLogMinBytes: 8_000, every: 3, words: "the database rewritten now and then" },
    { redoLogMinBytes: undefined, every: 1, words: "the log alone" },
  ])("holds everything that was answered, wherever it is cut off: $words", async ({ redoLogMinBytes, every }) => {
    const storage = await start("live", redoLogMinBytes);
    const dumps: (readonly string[])[] = [];
    for (const step of steps(storage)) {
      await step();
      await vi.waitUntil(() => noSaveIsUnderWay(join(root, "live/cachewe")), { interval: 1, timeout: 10_000 });
      await cp(join(root, "live"), join(root, `cut-${dumps.length}`), { recursive: true });
      dumps.push(await dump(storage, "cachewe"));
    }
    await storage.close();
    expect((await readdir(join(root, "live/cachewe/blob"))).sort()).toEqual([
      "extents",
      "extents.json",
      "metadata.json",
    ]);
    const again = await start("live");
    expect(await dump(again, "cachewe")).toEqual(dumps.at(-1));
    await again.close();
    for (const [at, expected] of dumps.entries()) {
      if (at % every !== 0) continue;
      const cut = await start(`cut-${at}`);
      expect(await dump(cut, "cachewe")).toEqual(expected);
      await cut.close();
    }
  });

  it("drops a torn end of the log, and only that", async () => {
    const storage = await start("live");
    const dumps: (readonly string[])[] = [await dump(storage, "cachewe")];
    const lengths: number[] = [0];
    const log = "cachewe/blob/metadata.json.redo-000000";
    for (const step of blobSteps(storage)) {
      await step();
      dumps.push(await dump(storage, "cachewe"));
      lengths.push((await stat(join(root, "live", log))).size);
    }
    await cp(join(root, "live"), join(root, "copy"), { recursive: true });
    await storage.close();
    for (const [at, end] of lengths.entries()) {
      const next = lengths[at + 1] ?? end;
      for (const cutAt of new Set([end, Math.max(end, next - 1 - (at % 3) * 100)])) {
        await cp(join(root, "copy"), join(root, "torn"), { recursive: true });
        await truncate(join(root, "torn", log), cutAt);
        const torn = await start("torn");
        const found = await dump(torn, "cachewe");
        expect(cutAt === end ? [dumps[at]] : dumps).toContainEqual(found);
        await torn.close();
        await rm(join(root, "torn"), { recursive: true });
      }
    }
  });

  it("refuses a damaged or missing log instead of losing what it held", async () => {
    const storage = await start("live");
    for (const step of blobSteps(storage)) await step();
    await cp(join(root, "live"), join(root, "damaged"), { recursive: true });
    await cp(join(root, "live"), join(root, "missing"), { recursive: true });
    await storage.close();
    const damaged = join(root, "damaged/cachewe/blob/metadata.json.redo-000000");
    await writeFile(damaged, "x", { flag: "r+" });
    await expect(start("damaged")).rejects.toSatisfy((error) => hasCode(error, "state-damaged"));
    await rm(join(root, "missing/cachewe/blob/metadata.json"));
    await expect(start("missing")).rejects.toSatisfy((error) => hasCode(error, "state-damaged"));
  });

  it("keeps a lease and its end over a restart", async () => {
    const storage = await start("live");
    const container = blobService(storage, "cachewe").getContainerClient("leases");
    await container.create();
    const blob = container.getBlockBlobClient("blob");
    await blob.upload("a", 1);
    const { leaseId } = await blob.getBlobLeaseClient().acquireLease(60);
    await storage.close();
    const again = await start("live");
    const held = blobService(again, "cachewe").getContainerClient("leases").getBlockBlobClient("blob");
    await expect(held.upload("b", 1)).rejects.toMatchObject({ statusCode: 412 });
    await held.getBlobLeaseClient(leaseId).renewLease();
    await held.upload("b", 1, { conditions: { leaseId: leaseId ?? "" } });
    await again.close();
  });
});

/**
 * Files that are copied one after the other show one moment only if none is replaced meanwhile. kill.test.ts covers
 * kills during a save.
 */
async function noSaveIsUnderWay(account: string): Promise<boolean> {
  const names = (await readdir(account, { recursive: true })).filter((name) => !name.includes("extents/"));
  const logs = names.filter((name) => name.includes(".redo-"));
  return logs.length === 4 && !names.some((name) => name.endsWith("~"));
}

/** Each step is one or a few requests of a kind that changes something, the last ones deletions. */
function* steps(storage: LocalStorage): Generator<() => Promise<unknown>> {
  yield* blobSteps(storage);
  const queue = queueService(storage, "cachewe").getQueueClient("hints");
  yield () => queue.create();
  yield () => queue.sendMessage("one");
  yield () => queue.sendMessage("two");
  yield async () => {
    const [message] = (await queue.receiveMessages({ visibilityTimeout: 600 })).receivedMessageItems;
    if (message !== undefined) await queue.updateMessage(message.messageId, message.popReceipt, "one, later", 0);
  };
  yield async () => {
    const [message] = (await queue.receiveMessages()).receivedMessageItems;
    if (message !== undefined) await queue.deleteMessage(message.messageId, message.popReceipt);
  };
  yield () => queue.clearMessages();
  yield () => queue.delete();
  yield () => blobService(storage, "cachewe").getContainerClient("disks").delete();
}

function* blobSteps(storage: LocalStorage): Generator<() => Promise<unknown>> {
  const container = blobService(storage, "cachewe").getContainerClient("disks");
  const disk = container.getPageBlobClient("disk");
  const copy = container.getPageBlobClient("copy");
  const block = container.getBlockBlobClient("delta");
  const log = container.getAppendBlobClient("log");
  yield () => container.create();
  yield () => disk.create(512 * 64, { metadata: { ttl: "kept", item: "vm-1" } });
  for (let page = 0; page < 8; page++) yield () => disk.uploadPages(pages(page + 1, 2), 512 * 5 * page, 1024);
  yield () => disk.uploadPages(pages(20, 12), 512 * 3, 512 * 12);
  yield () => disk.createSnapshot({ metadata: { point: "1" } });
  yield () => disk.clearPages(512 * 4, 512 * 20);
  yield () => disk.updateSequenceNumber("max", 7);
  yield async () => (await copy.beginCopyFromURL(disk.url)).pollUntilDone();
  yield () => copy.uploadPages(pages(30), 0, 512);
  yield () => disk.resize(512 * 32);
  yield () => block.upload("first", 5, { conditions: { ifNoneMatch: "*" } });
  yield () => block.stageBlock("YQ==", "staged", 6);
  yield () => block.commitBlockList(["YQ=="]);
  yield () => log.create();
  yield () => log.appendBlock("one", 3);
  yield () => log.appendBlock("two", 3);
  yield () => block.setMetadata({ seen: "yes" });
  yield () => disk.delete({ deleteSnapshots: "only" });
  yield () => block.delete();
}
