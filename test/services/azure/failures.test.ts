import type { StorageOperation } from "@leeward/azure-local/storage/operation";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectBlobs } from "../../../azure/connections.ts";
import { openDiskSnapshots } from "../../../azure/disk-snapshots.ts";
import { openItemStores } from "../../../azure/item-stores.ts";
import { openRecords } from "../../../azure/records.ts";
import { openTargetDisks } from "../../../azure/target-disks.ts";
import { CIRCUIT_FAILURES, CIRCUIT_PAUSE_MS } from "../../../replication/limits.ts";
import { itemContainer } from "../../../replication/names.ts";
import { type TestAccounts, newItemId, startAccounts } from "./accounts.ts";

const MIB = 1024 * 1024;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What the adapters make of lost answers, refusals and an account that is away. */
describe("azure adapters when storage fails", () => {
  let accounts: TestAccounts;
  beforeAll(async () => {
    accounts = await startAccounts();
  });
  afterAll(() => accounts.close());

  /** Lets `count` requests take effect and loses their answers, then tells how often the operation was carried out. */
  async function losing(operation: string, count: number, run: () => Promise<void>): Promise<number> {
    let seen = 0;
    const stop = accounts.storage.observe((each: StorageOperation) => {
      if (each.operation !== operation) return;
      seen += 1;
      if (seen > count) return;
      // The request has taken effect; all connections are cut before its answer leaves.
      accounts.storage.setReachable(each.account, false);
      accounts.storage.setReachable(each.account, true);
    });
    try {
      await run();
    } finally {
      stop();
    }
    return seen;
  }

  async function newDisk(): Promise<{ readonly itemId: string; readonly stream: number; readonly diskId: string }> {
    const disk = { itemId: newItemId(), stream: 1, diskId: "os" };
    await openTargetDisks(accounts.target).create(disk, MIB);
    return disk;
  }

  it("rule 7: a cache account that does not answer is left alone for all items, and what lies elsewhere is read on", async () => {
    let nowMs = Date.now();
    const stores = openItemStores(accounts.all, { now: () => nowMs });
    const itemId = newItemId();
    await stores.createContainers(itemId, 1);
    await stores.cache(itemId, 1).put("a", bytes("delta"));
    const list = () => stores.cache(newItemId(), 1).list("", 1);
    accounts.storage.setReachable("leewardcachewe", false);
    try {
      for (let count = 0; count < CIRCUIT_FAILURES; count += 1) {
        const error: unknown = await list().catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: "store-unavailable" });
        expect(error).not.toHaveProperty("facts.repeated");
      }
      const waits = [
        () => stores.cache(itemId, 1).read("a"),
        list,
        () => stores.listStreams(itemId, "cache"),
        () => stores.removeStream(itemId, 1, "cache"),
        () => stores.removeCacheData(itemId, 1),
        () => stores.quarantine(itemId, 1, "a", "none"),
      ];
      for (const wait of waits) await expect(wait()).rejects.toMatchObject({ facts: { repeated: true } });
      expect(await stores.listStreams(itemId, "target")).toEqual([1]);
    } finally {
      accounts.storage.setReachable("leewardcachewe", true);
    }
    nowMs += CIRCUIT_PAUSE_MS;
    expect((await stores.cache(itemId, 1).read("a"))?.bytes).toEqual(bytes("delta"));
  });

  it("rule 7: the target's part of an item goes while the cache account is away, and its own record stays until the end", async () => {
    const stores = openItemStores(accounts.all, { now: Date.now });
    const disk = await newDisk();
    const { itemId } = disk;
    await stores.createContainers(itemId, 1);
    for (const name of ["item.json", "progress.json", "points/p/manifest.json"])
      await stores.records(itemId).put(name, bytes(name));
    accounts.storage.setReachable("leewardcachewe", false);
    try {
      while ((await stores.removeTargetData(itemId, 1)).more);
      await expect(stores.removeCacheData(itemId, 1)).rejects.toMatchObject({ retryable: true });
    } finally {
      accounts.storage.setReachable("leewardcachewe", true);
    }
    expect(await stores.disks.properties(disk)).toBeUndefined();
    expect((await stores.records(itemId).list("", 9)).map(({ name }) => name)).toEqual(["item.json", "progress.json"]);
    await stores.removeCacheData(itemId, 1);
    expect(await stores.listStreams(itemId, "cache")).toEqual([]);
  });

  it("rule 3: a create whose answer is lost is unknown, was sent once, and stands", async () => {
    const records = openRecords(accounts.target, itemContainer(newItemId()));
    await records.create("other", bytes("makes the container"));
    const sent = await losing("BlockBlob_Upload", 1, async () => {
      await expect(records.create("progress.json", bytes("1"))).rejects.toMatchObject({ code: "outcome-unknown" });
    });
    expect(sent).toBe(1);
    expect((await records.read("progress.json"))?.bytes).toEqual(bytes("1"));
  });

  it("rule 3: a compare-and-set whose answer is lost is unknown, was sent once, and stands", async () => {
    const records = openRecords(accounts.target, itemContainer(newItemId()));
    const etag = (await records.create("progress.json", bytes("1"))) ?? "";
    const sent = await losing("BlockBlob_Upload", 1, async () => {
      await expect(records.replace("progress.json", bytes("2"), etag)).rejects.toMatchObject({
        code: "outcome-unknown",
      });
    });
    expect(sent).toBe(1);
    expect((await records.read("progress.json"))?.bytes).toEqual(bytes("2"));
  });

  it("rule 3: page writes, clears, raises and snapshots whose answer is lost are unknown and were sent once", async () => {
    const disk = await newDisk();
    const disks = openTargetDisks(accounts.target);
    const unknown = { code: "outcome-unknown" };
    const etag = (await disks.properties(disk))?.etag ?? "";
    const sent = [
      await losing("Blob_CreateSnapshot", 1, () =>
        expect(disks.snapshot(disk, etag, "p")).rejects.toMatchObject(unknown),
      ),
      await losing("PageBlob_UploadPages", 1, () =>
        expect(disks.writePages(disk, 0, new Uint8Array(512), 0)).rejects.toMatchObject(unknown),
      ),
      await losing("PageBlob_ClearPages", 1, () =>
        expect(disks.clearPages(disk, 0, 512, 0)).rejects.toMatchObject(unknown),
      ),
      await losing("PageBlob_UpdateSequenceNumber", 1, () =>
        expect(disks.raiseSequenceNumber(disk, 2)).rejects.toMatchObject(unknown),
      ),
    ];
    expect(sent).toEqual([1, 1, 1, 1]);
    expect(await openDiskSnapshots(accounts.target).list(disk)).toHaveLength(1);
    expect((await disks.properties(disk))?.sequenceNumber).toBe(2);
  });

  it("rule 10: what may land twice is sent again by itself: put, remove, read", async () => {
    const records = openRecords(accounts.target, itemContainer(newItemId()));
    await records.put("heartbeat.json", bytes("0"));
    expect(await losing("BlockBlob_Upload", 1, () => records.put("heartbeat.json", bytes("1")))).toBe(2);
    await losing("Blob_Download", 2, async () => {
      expect((await records.read("heartbeat.json"))?.bytes).toEqual(bytes("1"));
    });
    expect(await losing("Blob_Delete", 1, () => records.remove("heartbeat.json"))).toBe(2);
    expect(await records.read("heartbeat.json")).toBeUndefined();
  });

  it("an account that is away is unavailable to reads; a write says so too, or that its outcome is unknown", async () => {
    const records = openRecords(accounts.cache, itemContainer(newItemId()));
    await records.put("a", bytes("1"));
    accounts.storage.setReachable("leewardcachewe", false);
    try {
      await expect(records.read("a")).rejects.toMatchObject({ code: "store-unavailable" });
      const code = await records.create("b", bytes("1")).catch((error: unknown) => (error as { code: string }).code);
      expect(["store-unavailable", "outcome-unknown"]).toContain(code);
    } finally {
      accounts.storage.setReachable("leewardcachewe", true);
    }
    expect((await records.read("a"))?.bytes).toEqual(bytes("1"));
  });

  it("a wrong key is refused, for reads and writes, and the error carries no address and no key", async () => {
    const wrongKey = Buffer.alloc(64, 1).toString("base64");
    const connectionString = accounts.connectionStrings.target.replace(/AccountKey=[^;]+/, `AccountKey=${wrongKey}`);
    const stranger = openRecords(
      connectBlobs("TargetStorage", { kind: "connection-string", connectionString }),
      itemContainer(newItemId()),
    );
    for (const attempt of [
      (): Promise<unknown> => stranger.read("a"),
      (): Promise<unknown> => stranger.create("a", bytes("1")),
    ]) {
      const error: unknown = await attempt().catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: "store-refused", facts: { status: 403 } });
      const shown = JSON.stringify({ ...(error as object), message: (error as Error).message });
      expect(shown).not.toContain("http");
      expect(shown).not.toContain(wrongKey);
    }
  });

  it("rule 3: a disk that vanished is not taken for a fence", async () => {
    const disks = openTargetDisks(accounts.target);
    const disk = { itemId: newItemId(), stream: 1, diskId: "none" };
    await expect(disks.writePages(disk, 0, new Uint8Array(512), 1)).rejects.toMatchObject({
      code: "store-refused",
      facts: { status: 404 },
    });
  });
});
