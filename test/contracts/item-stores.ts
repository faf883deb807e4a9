import { describe, expect, it } from "vitest";
import { QUARANTINE_MAX_COUNT } from "../../replication/limits.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";

/** Stores of an empty account pair, and what is quarantined. */
export interface ItemStoresUnderTest {
  readonly stores: ItemStores;
  /** The contents of the item's quarantine, in any order. */
  readonly quarantined: (itemId: string) => Promise<readonly Uint8Array[]>;
}

/** What every ItemStores must do. `open` returns stores of accounts without items. */
export function itemStoresContract(open: () => Promise<ItemStoresUnderTest>): void {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const texts = (all: readonly Uint8Array[]): readonly string[] =>
    all.map((each) => new TextDecoder().decode(each)).sort();

  describe("ItemStores: items", () => {
    it("lists nothing in an empty account", async () => {
      const { stores } = await open();
      expect(await stores.listItems(10)).toEqual([]);
    });

    it("rule 10: containers are made twice without harm, for a new stream of a known item too", async () => {
      const { stores } = await open();
      await stores.createContainers("web-1", 1);
      await stores.records("web-1").create("item.json", bytes("kept"));
      await stores.createContainers("web-1", 1);
      await stores.createContainers("web-1", 2);
      expect(await stores.listItems(10)).toEqual(["web-1"]);
      expect((await stores.records("web-1").read("item.json"))?.bytes).toEqual(bytes("kept"));
    });

    it("rule 9: lists in order, in pages, behind an item", async () => {
      const { stores } = await open();
      for (const itemId of ["web-2", "db", "web-1", "web", "app"]) await stores.createContainers(itemId, 1);
      expect(await stores.listItems(10)).toEqual(["app", "db", "web", "web-1", "web-2"]);
      expect(await stores.listItems(2)).toEqual(["app", "db"]);
      expect(await stores.listItems(2, "db")).toEqual(["web", "web-1"]);
      expect(await stores.listItems(2, "unknown")).toEqual(["web", "web-1"]);
      expect(await stores.listItems(2, "web-2")).toEqual([]);
    });

    it("keeps cache and records of all items apart", async () => {
      const { stores } = await open();
      await stores.cache("web", 1).put("a", bytes("cache of web"));
      await stores.records("web").put("a", bytes("records of web"));
      await stores.records("db").put("a", bytes("records of db"));
      await stores.management("web").put("a", bytes("management of web"));
      expect((await stores.cache("web", 1).read("a"))?.bytes).toEqual(bytes("cache of web"));
      expect((await stores.records("web").read("a"))?.bytes).toEqual(bytes("records of web"));
      expect((await stores.management("web").read("a"))?.bytes).toEqual(bytes("management of web"));
      expect(await stores.cache("db", 1).read("a")).toBeUndefined();
      expect(await stores.management("db").read("a")).toBeUndefined();
    });
  });

  describe("ItemStores: streams", () => {
    it("keeps the deltas of streams apart, and lists streams in order, those of other items left out", async () => {
      const { stores } = await open();
      for (const stream of [12, 1, 2]) await stores.createContainers("web", stream);
      for (const other of ["web-0000000001", "web-1"]) await stores.createContainers(other, 7);
      await stores.disks.create({ itemId: "web", stream: 2, diskId: "os" }, 1024);
      await stores.disks.create({ itemId: "web", stream: 12, diskId: "os" }, 1024);
      await stores.cache("web", 2).put("a", bytes("of 2"));
      expect(await stores.cache("web", 1).read("a")).toBeUndefined();
      expect(await stores.listStreams("web", "cache")).toEqual([1, 2, 12]);
      expect((await stores.listStreams("web", "target")).filter((stream) => stream !== 1)).toEqual([2, 12]);
      expect(await stores.listStreams("nobody", "cache")).toEqual([]);
    });

    it("removes one stream in one place, twice without harm", async () => {
      const { stores } = await open();
      for (const stream of [1, 2]) {
        await stores.createContainers("web", stream);
        await stores.disks.create({ itemId: "web", stream, diskId: "os" }, 1024);
        await stores.cache("web", stream).put("a", bytes("delta"));
      }
      for (let round = 0; round < 2; round += 1) await stores.removeStream("web", 1, "cache");
      expect(await stores.listStreams("web", "cache")).toEqual([2]);
      expect(await stores.cache("web", 1).list("", 10)).toEqual([]);
      expect(await stores.listStreams("web", "target")).toEqual([1, 2]);
      for (let round = 0; round < 2; round += 1) await stores.removeStream("web", 1, "target");
      expect(await stores.disks.properties({ itemId: "web", stream: 1, diskId: "os" })).toBeUndefined();
      expect(await stores.listStreams("web", "target")).toEqual([2]);
    });
  });

  describe("ItemStores: removing an item", () => {
    it("each account by itself, the item's own record last; keeps what tells of its jobs, and leaves other items alone", async () => {
      const { stores, quarantined } = await open();
      for (const itemId of ["web", "web-1"]) {
        await stores.createContainers(itemId, 1);
        await stores.disks.create({ itemId, stream: 1, diskId: "os" }, 1024);
        await stores.cache(itemId, 1).put("0000000001/000000000001", bytes("delta"));
        for (const name of ["item.json", "progress.json", "points/p/manifest.json"])
          await stores.records(itemId).put(name, bytes(itemId));
        for (const name of ["jobs/j.json", "managed.json", "ledger.json", "streams.json"])
          await stores.management(itemId).put(name, bytes(itemId));
      }
      await stores.cache("web", 1).put("foreign", bytes("foreign"));
      await stores.quarantine("web", 1, "foreign", "forged");
      const names = async () => (await stores.records("web").list("", 10)).map(({ name }) => name);
      // Rule 10.
      for (let times = 0; times < 2; times += 1) while ((await stores.removeTargetData("web", 1)).more);
      expect(await names()).toEqual(["item.json", "progress.json"]);
      expect(await stores.disks.properties({ itemId: "web", stream: 1, diskId: "os" })).toBeUndefined();
      expect(await stores.cache("web", 1).list("", 10)).toHaveLength(1);
      // A stream of the next life.
      await stores.createContainers("web", 2);
      await stores.cache("web", 2).put("a", bytes("next"));
      for (let times = 0; times < 2; times += 1) await stores.removeCacheData("web", 1);
      expect(await stores.cache("web", 1).list("", 10)).toEqual([]);
      expect(await stores.cache("web", 2).list("", 10)).toHaveLength(1);
      expect(await quarantined("web")).toEqual([]);
      // Disks of the next life stay, and so does its record.
      await stores.disks.create({ itemId: "web", stream: 2, diskId: "os" }, 1024 * 1024);
      for (let times = 0; times < 2; times += 1) while ((await stores.removeTargetData("web", 1)).more);
      expect(await stores.listStreams("web", "target")).toEqual([2]);
      await stores.records("web").put("item.json", encodeRecord({ version: 1, itemId: "web", stream: 2 }));
      await stores.records("web").put("events.json", bytes("next"));
      await expect(stores.removeTargetData("web", 1)).rejects.toMatchObject({ code: "conflict" });
      await expect(stores.forgetItem("web", 1)).rejects.toMatchObject({ code: "conflict" });
      expect(await names()).toContain("events.json");
      expect(await names()).toContain("item.json");
      await stores.records("web").put("item.json", bytes("damaged"));
      // A sweep that had found the item earlier wrote its findings.
      await stores.records("web").put("events.json", bytes("late"));
      for (let times = 0; times < 2; times += 1) await stores.forgetItem("web", 1);
      expect(await names()).toEqual([]);
      for (const itemId of ["web", "web-1"]) expect(await stores.management(itemId).list("", 10)).toHaveLength(4);
      expect(await stores.listItems(10)).toEqual(["web", "web-1"]);
      expect(await stores.records("web-1").list("", 10)).toHaveLength(3);
      expect(await stores.cache("web-1", 1).list("", 10)).toHaveLength(1);
      expect(await stores.disks.properties({ itemId: "web-1", stream: 1, diskId: "os" })).toBeDefined();
    });
  });

  describe("ItemStores: quarantine", () => {
    it("moves a blob whole out of the item's container", async () => {
      const { stores, quarantined } = await open();
      await stores.cache("web", 1).create("holiday pictures/100%?.jpg", bytes("foreign"));
      await stores.cache("web", 1).create("0000000001/000000000001", bytes("delta"));
      await stores.quarantine("web", 1, "holiday pictures/100%?.jpg", "no delta name: Ünïcode\r\n");
      expect((await stores.cache("web", 1).list("", 10)).map((each) => each.name)).toEqual(["0000000001/000000000001"]);
      expect(texts(await quarantined("web"))).toEqual(["foreign"]);
    });

    it("rule 10: what is gone already is left at that", async () => {
      const { stores, quarantined } = await open();
      await stores.quarantine("web", 1, "nothing", "gone");
      await stores.cache("web", 1).create("a", bytes("1"));
      await stores.quarantine("web", 1, "a", "forged");
      await stores.quarantine("web", 1, "a", "forged");
      expect(texts(await quarantined("web"))).toEqual(["1"]);
    });

    it("given an etag, it leaves alone what has taken the name since", async () => {
      const { stores, quarantined } = await open();
      const etag = await stores.cache("web", 1).create("a", bytes("forged"));
      await stores.cache("web", 1).put("a", bytes("genuine"));
      await stores.quarantine("web", 1, "a", "forged", etag);
      expect((await stores.cache("web", 1).read("a"))?.bytes).toEqual(bytes("genuine"));
      const { etag: present } = (await stores.cache("web", 1).read("a")) ?? {};
      await stores.quarantine("web", 1, "a", "forged", present);
      expect(texts(await quarantined("web"))).toEqual(["genuine"]);
    });

    it("rule 9: keeps a bounded number of blobs, the newest", async () => {
      const { stores, quarantined } = await open();
      for (let count = 0; count < QUARANTINE_MAX_COUNT + 2; count += 1) {
        await stores.cache("web", 1).create("a", bytes(`blob ${count}`));
        await stores.quarantine("web", 1, "a", "forged");
      }
      const kept = texts(await quarantined("web"));
      expect(kept).toHaveLength(QUARANTINE_MAX_COUNT);
      expect(kept).toContain(`blob ${QUARANTINE_MAX_COUNT + 1}`);
      expect(await stores.cache("web", 1).list("", 10)).toEqual([]);
    });

    it("a second blob of the same name does not push out the first", async () => {
      const { stores, quarantined } = await open();
      await stores.cache("web", 1).create("a", bytes("first"));
      await stores.quarantine("web", 1, "a", "forged");
      await stores.cache("web", 1).create("a", bytes("second"));
      await stores.quarantine("web", 1, "a", "forged");
      expect(texts(await quarantined("web"))).toEqual(["first", "second"]);
      expect(await stores.cache("web", 1).read("a")).toBeUndefined();
    });
  });
}
