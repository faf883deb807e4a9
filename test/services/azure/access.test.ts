import { BlobServiceClient, BlockBlobClient, ContainerClient } from "@azure/storage-blob";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onePair } from "../../../azure/accounts.ts";
import { openCacheAccess } from "../../../azure/cache-access.ts";
import { type BlobAccount, connectBlobs, connectQueues } from "../../../azure/connections.ts";
import { openDiskSnapshots } from "../../../azure/disk-snapshots.ts";
import { openRestoreAccess } from "../../../azure/restore-access.ts";
import { grantProtocol } from "../../../azure/signing.ts";
import { openTargetDisks } from "../../../azure/target-disks.ts";
import { openWorkQueue } from "../../../azure/work-queue.ts";
import { cacheContainer } from "../../../replication/names.ts";
import { type TestAccounts, newItemId, startAccounts } from "./accounts.ts";

const HOUR_MS = 60 * 60_000;

describe("grants and queues", () => {
  let accounts: TestAccounts;
  beforeAll(async () => {
    accounts = await startAccounts();
  });
  afterAll(() => accounts.close());

  it("rule 8: the grant of a mobility service creates blobs in its container and nothing else", async () => {
    const itemId = newItemId();
    const mine = accounts.cache.retrying.getContainerClient(cacheContainer(itemId, 1));
    await mine.create();
    const { containerUrl } = await openCacheAccess(accounts.all, { now: Date.now }).grantCreate(itemId, 1);
    const endpoint = await openCacheAccess(accounts.all, { now: Date.now }).endpoint(itemId);
    expect(containerUrl.startsWith(`${endpoint}/leeward-cache-`)).toBe(true);
    const granted = new ContainerClient(containerUrl, undefined, { retryOptions: { maxTries: 1 } });
    const refused = { statusCode: 403 };

    await granted.getBlockBlobClient("a").upload("delta", 5, { conditions: { ifNoneMatch: "*" } });
    expect((await mine.getBlobClient("a").downloadToBuffer()).toString()).toBe("delta");

    await expect(granted.getBlockBlobClient("a").upload("other", 5)).rejects.toMatchObject(refused);
    await expect(granted.getBlobClient("a").download()).rejects.toMatchObject(refused);
    await expect(granted.getBlobClient("a").delete()).rejects.toMatchObject(refused);
    await expect(granted.listBlobsFlat().next()).rejects.toMatchObject(refused);
    expect((await mine.getBlobClient("a").downloadToBuffer()).toString()).toBe("delta");

    // Neither another item's, nor that of another stream or life of this one.
    for (const neighbour of [cacheContainer(newItemId(), 1), cacheContainer(itemId, 2)]) {
      await accounts.cache.retrying.getContainerClient(neighbour).create();
      const elsewhere = new ContainerClient(containerUrl.replace(cacheContainer(itemId, 1), neighbour), undefined, {
        retryOptions: { maxTries: 1 },
      });
      await expect(elsewhere.getBlockBlobClient("b").upload("delta", 5)).rejects.toMatchObject(refused);
    }
    // What an earlier life may still send meets a container that is gone.
    await mine.delete();
    await expect(granted.getBlockBlobClient("late").upload("delta", 5)).rejects.toMatchObject({ statusCode: 404 });
  });

  it("rule 8: without an account key grants are signed with a user delegation key that lasts as long as they do", async () => {
    const asked: { readonly startsOn: Date; readonly expiresOn: Date }[] = [];
    const client = new BlobServiceClient("https://leewardcachewe.blob.core.windows.net", {
      getToken: async () => ({ token: "unused", expiresOnTimestamp: Date.now() + HOUR_MS }),
    });
    // The one request that needs Microsoft Entra ID; everything else is signed here.
    const getUserDelegationKey = async (startsOn: Date, expiresOn: Date): Promise<object> => {
      asked.push({ startsOn, expiresOn });
      const value = Buffer.alloc(32, 7).toString("base64");
      const key = {
        signedObjectId: "object",
        signedTenantId: "tenant",
        signedService: "b",
        signedVersion: "2026-06-06",
        value,
      };
      return { ...key, signedStartsOn: startsOn, signedExpiresOn: expiresOn };
    };
    const account = {
      retrying: Object.assign(client, { getUserDelegationKey }),
      once: client,
      signer: "identity",
    } as unknown as BlobAccount;
    const { containerUrl, expiresMs } = await openCacheAccess(onePair(account, account, account), {
      now: Date.now,
    }).grantCreate("web", 1);
    const { url } = await openRestoreAccess(onePair(account, account, account), { now: Date.now }).grantRead({
      itemId: "web",
      restoreId: "r",
      diskId: "os",
    });
    const shown = [containerUrl, url].map((text) => new URL(text).searchParams);
    expect(shown.map((values) => [values.get("sr"), values.get("sp"), values.get("skoid"), values.get("spr")])).toEqual(
      [
        ["c", "c", "object", "https"],
        ["b", "r", "object", "https"],
      ],
    );
    // Azure gives such a key for seven days at most, and a grant ends with its key.
    expect(asked.map(({ expiresOn }) => expiresOn.getTime())).toEqual([expiresMs, expect.any(Number)]);
    expect(shown.map((values) => values.get("se"))).toEqual(shown.map((values) => values.get("ske")));
  });

  it("a grant lasts an hour and is given again until half of its life is over", async () => {
    let nowMs = Date.now();
    const access = openCacheAccess(accounts.all, { now: () => nowMs });
    const first = await access.grantCreate("web", 1);
    expect(first.expiresMs - nowMs).toBeLessThanOrEqual(HOUR_MS);
    expect(first.expiresMs - nowMs).toBeGreaterThan(HOUR_MS - 1001);
    nowMs += 29 * 60_000;
    expect(await access.grantCreate("web", 1)).toEqual(first);
    expect((await access.grantCreate("db", 1)).containerUrl).not.toBe(first.containerUrl);
    expect((await access.grantCreate("web", 2)).containerUrl).not.toBe(first.containerUrl);
    nowMs += 2 * 60_000;
    const second = await access.grantCreate("web", 1);
    expect(second.expiresMs - first.expiresMs).toBe(31 * 60_000);
    expect(new URL(second.containerUrl).searchParams.get("sp")).toBe("c");
    // A clock that was ahead for a moment leaves no grant of the future behind.
    nowMs += 10 * HOUR_MS;
    await access.grantCreate("web", 1);
    nowMs -= 10 * HOUR_MS;
    expect((await access.grantCreate("web", 1)).expiresMs - nowMs).toBeLessThanOrEqual(HOUR_MS);
  });

  it.each([
    ["https://leewardcachewe.blob.core.windows.net", "https"],
    ["https://127.0.0.1:10000/leewardcache", "https"],
    ["http://127.0.0.1:10000/leewardcache", "https,http"],
    ["http://localhost:10000/leewardcache", "https,http"],
    ["http://[::1]:10000/leewardcache", "https,http"],
    ["http://azurite:10000/leewardcache", "https"],
    ["http://127.0.0.1.example.org/leewardcache", "https"],
    ["http://localhost.example.org/leewardcache", "https"],
  ])("rule 8: a grant for %s is good over %s only", (url, protocol) => {
    expect(grantProtocol(url)).toBe(protocol);
  });

  it("rule 8: the grant of a restore reads the one disk for an hour and nothing else", async () => {
    const disk = { itemId: newItemId(), stream: 1, diskId: "os" };
    const restored = { itemId: disk.itemId, restoreId: "restore-1", diskId: "os" };
    const disks = openTargetDisks(accounts.target);
    await disks.create(disk, 1024);
    await disks.writePages(disk, 512, new Uint8Array(512).fill(7), 0);
    const snapshot = (await disks.snapshot(disk, (await disks.properties(disk))?.etag ?? "", "point")) ?? "";
    await openDiskSnapshots(accounts.target).startCopy(disk, snapshot, restored);

    const nowMs = Date.now();
    const { url, expiresMs } = await openRestoreAccess(accounts.all, { now: () => nowMs }).grantRead(restored);
    expect(expiresMs - nowMs).toBeLessThanOrEqual(HOUR_MS);
    const granted = new BlockBlobClient(url, undefined, { retryOptions: { maxTries: 1 } });
    expect([...(await granted.downloadToBuffer()).subarray(511, 513)]).toEqual([0, 7]);
    await expect(granted.delete()).rejects.toMatchObject({ statusCode: 403 });
    await expect(granted.upload("x", 1)).rejects.toMatchObject({ statusCode: 403 });
    expect(new URL(url).searchParams.get("sp")).toBe("r");
  });

  it("the first message makes its queue; hints and restores go to queues of their own, as base64 of JSON", async () => {
    const queues = connectQueues("TargetStorage", {
      kind: "connection-string",
      connectionString: accounts.connectionStrings.target,
    });
    const work = openWorkQueue(queues);
    await work.send({ kind: "hint", itemId: "web" }, 0);
    await work.send({ kind: "restore", itemId: "web", restoreId: "r-1" }, 0);
    await work.send({ kind: "hint", itemId: "later" }, 60_000);
    const received = async (queue: string): Promise<readonly unknown[]> => {
      const { receivedMessageItems } = await queues.getQueueClient(queue).receiveMessages({ numberOfMessages: 32 });
      return receivedMessageItems.map((each) => JSON.parse(Buffer.from(each.messageText, "base64").toString("utf8")));
    };
    // The one that was put off by a minute is not visible yet.
    expect(await received("leeward-hints")).toEqual([{ kind: "hint", itemId: "web" }]);
    expect(await received("leeward-restores")).toEqual([{ kind: "restore", itemId: "web", restoreId: "r-1" }]);
    expect(queues).toBeInstanceOf(QueueServiceClient);
  });

  it("rule 8: a connection string that is no account key, or nothing at all, is refused by the name of the setting only", () => {
    const withSas = "BlobEndpoint=https://a.blob.core.windows.net;SharedAccessSignature=sv=2024-01-01&sig=SECRET";
    for (const connectionString of [withSas, "SECRET", "AccountName=a;AccountKey=SECRET"]) {
      const connect = (): unknown => connectBlobs("CacheStorage", { kind: "connection-string", connectionString });
      expect(connect).toThrow(
        expect.objectContaining({
          code: "configuration-invalid",
          message: expect.stringMatching(/^CacheStorage (?!.*SECRET)/),
        }),
      );
    }
    expect(() =>
      connectQueues("TargetStorage", { kind: "identity", blobServiceUri: "https://a.blob.core.windows.net" }),
    ).toThrow(expect.objectContaining({ code: "configuration-invalid" }));
  });
});
