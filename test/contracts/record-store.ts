import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { RecordStore } from "../../replication/ports.ts";

/**
 * What every RecordStore must do. `open` returns the store of a container that does not exist yet, a new one per call.
 */
export function recordStoreContract(open: () => Promise<RecordStore>): void {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const text = async (store: RecordStore, name: string): Promise<string | undefined> => {
    const found = await store.read(name);
    return found === undefined ? undefined : new TextDecoder().decode(found.bytes);
  };

  describe("RecordStore: a container that does not exist", () => {
    it("reads and lists as empty, and removing from it succeeds", async () => {
      const store = await open();
      expect(await store.read("item.json")).toBeUndefined();
      expect(await store.list("", 10)).toEqual([]);
      await store.remove("item.json");
    });

    it("is made by the first create", async () => {
      const store = await open();
      expect(await store.create("a", bytes("first"))).toBeTypeOf("string");
      expect(await text(store, "a")).toBe("first");
    });

    it("is made by the first put", async () => {
      const store = await open();
      await store.put("heartbeat.json", bytes("beat"));
      expect(await text(store, "heartbeat.json")).toBe("beat");
    });

    it("has nothing that replace could match", async () => {
      const store = await open();
      const other = await open();
      const etag = (await other.create("a", bytes("elsewhere"))) ?? "";
      expect(await store.replace("a", bytes("new"), etag)).toBeUndefined();
    });
  });

  describe("RecordStore: create", () => {
    it("answers undefined when the name is taken and changes nothing", async () => {
      const store = await open();
      const etag = await store.create("a", bytes("first"));
      expect(await store.create("a", bytes("second"))).toBeUndefined();
      expect(await text(store, "a")).toBe("first");
      expect((await store.read("a"))?.etag).toBe(etag);
    });

    it("lets exactly one of many win", async () => {
      const store = await open();
      await store.create("other", bytes("the container is there"));
      const attempts = Array.from({ length: 8 }, (_, index) => store.create("claim", bytes(`worker ${index}`)));
      const etags = await Promise.all(attempts);
      const winner = etags.findIndex((etag) => etag !== undefined);
      expect(etags.filter((etag) => etag !== undefined)).toHaveLength(1);
      expect(await text(store, "claim")).toBe(`worker ${winner}`);
    });

    it("keeps every byte, of an empty blob and of a view into a larger buffer too", async () => {
      const store = await open();
      const large = new Uint8Array(randomBytes(3 * 1024 * 1024 + 7));
      await store.create("empty", new Uint8Array());
      await store.create("view", large.subarray(512, 4099));
      await store.create("large", large);
      expect((await store.read("empty"))?.bytes.length).toBe(0);
      expect(Buffer.compare((await store.read("view"))?.bytes ?? bytes(""), large.subarray(512, 4099))).toBe(0);
      expect(Buffer.compare((await store.read("large"))?.bytes ?? bytes(""), large)).toBe(0);
    });
  });

  describe("RecordStore: replace", () => {
    it("changes the blob and its etag when the etag matches", async () => {
      const store = await open();
      const first = (await store.create("progress.json", bytes("1"))) ?? "";
      const second = await store.replace("progress.json", bytes("2"), first);
      expect(second).toBeTypeOf("string");
      expect(second).not.toBe(first);
      expect(await text(store, "progress.json")).toBe("2");
      expect((await store.read("progress.json"))?.etag).toBe(second);
    });

    it("answers undefined for an old etag and changes nothing, even when the bytes are the same again", async () => {
      const store = await open();
      const first = (await store.create("progress.json", bytes("1"))) ?? "";
      const second = (await store.replace("progress.json", bytes("2"), first)) ?? "";
      await store.replace("progress.json", bytes("1"), second);
      expect(await store.replace("progress.json", bytes("3"), first)).toBeUndefined();
      expect(await text(store, "progress.json")).toBe("1");
    });

    it("answers undefined when the blob is gone", async () => {
      const store = await open();
      const etag = (await store.create("progress.json", bytes("1"))) ?? "";
      await store.remove("progress.json");
      expect(await store.replace("progress.json", bytes("2"), etag)).toBeUndefined();
      expect(await store.read("progress.json")).toBeUndefined();
    });

    it("lets exactly one of many with the same etag win", async () => {
      const store = await open();
      const etag = (await store.create("progress.json", bytes("0"))) ?? "";
      const attempts = Array.from({ length: 8 }, (_, index) =>
        store.replace("progress.json", bytes(`worker ${index}`), etag),
      );
      const etags = await Promise.all(attempts);
      const winner = etags.findIndex((each) => each !== undefined);
      expect(etags.filter((each) => each !== undefined)).toHaveLength(1);
      expect(await text(store, "progress.json")).toBe(`worker ${winner}`);
    });
  });

  describe("RecordStore: put, remove, read", () => {
    it("put overwrites whatever is there", async () => {
      const store = await open();
      await store.create("heartbeat.json", bytes("created"));
      await store.put("heartbeat.json", bytes("put"));
      expect(await text(store, "heartbeat.json")).toBe("put");
    });

    it("rule 10: removing twice succeeds, and the name is free again", async () => {
      const store = await open();
      await store.create("a", bytes("1"));
      await store.remove("a");
      await store.remove("a");
      expect(await store.read("a")).toBeUndefined();
      expect(await store.create("a", bytes("2"))).toBeTypeOf("string");
    });

    it("removes what was read and nothing that has taken its name since", async () => {
      const store = await open();
      const first = await store.create("a", bytes("1"));
      await store.put("a", bytes("2"));
      await store.remove("a", first);
      expect(await text(store, "a")).toBe("2");
      await store.remove("a", (await store.read("a"))?.etag);
      expect(await store.read("a")).toBeUndefined();
      await store.remove("a", first);
    });

    it("rule 9: a blob longer than asked for is refused, one of exactly that length is read", async () => {
      const store = await open();
      const etag = await store.create("big", bytes("12345678"));
      await expect(store.read("big", 7)).rejects.toMatchObject({ code: "delta-too-large", facts: { etag } });
      expect((await store.read("big", 8))?.bytes.length).toBe(8);
    });
  });

  describe("RecordStore: list", () => {
    it("gives the names behind a prefix in order, with length and time", async () => {
      const store = await open();
      const beforeMs = Date.now();
      for (const name of ["points/b/manifest.json", "journal/1", "points/a/manifest.json", "points/a/pins.json"]) {
        await store.create(name, bytes(name));
      }
      const found = await store.list("points/", 10);
      expect(found.map((each) => each.name)).toEqual([
        "points/a/manifest.json",
        "points/a/pins.json",
        "points/b/manifest.json",
      ]);
      expect(found.map((each) => each.lengthBytes)).toEqual([22, 18, 22]);
      // The store's clock may count in whole seconds; a day off means another unit.
      for (const each of found) expect(Math.abs(each.createdMs - beforeMs)).toBeLessThan(24 * 60 * 60_000);
    });

    it("gives an etag that changes with every write of the blob, and with nothing else", async () => {
      const store = await open();
      const etag = await store.create("a", bytes("1"));
      await store.create("b", bytes("1"));
      const etags = async (): Promise<readonly string[]> => (await store.list("", 10)).map((each) => each.etag);
      const [first, second] = await etags();
      expect(first).not.toBe("");
      expect(await etags()).toEqual([first, second]);
      await store.replace("a", bytes("1"), etag ?? "");
      const [changed, other] = await etags();
      expect(changed).not.toBe(first);
      expect(other).toBe(second);
    });

    it("rule 9: stops at the limit and goes on behind a name, whether that name still exists or not", async () => {
      const store = await open();
      for (const name of ["d/1", "d/2", "d/3", "d/4", "d/5"]) await store.create(name, bytes(name));
      const names = async (limit: number, after?: string): Promise<readonly string[]> =>
        (await store.list("d/", limit, after)).map((each) => each.name);
      expect(await names(2)).toEqual(["d/1", "d/2"]);
      expect(await names(2, "d/2")).toEqual(["d/3", "d/4"]);
      await store.remove("d/2");
      expect(await names(10, "d/2")).toEqual(["d/3", "d/4", "d/5"]);
      expect(await names(10, "d/5")).toEqual([]);
      expect(await names(1, "a")).toEqual(["d/1"]);
    });
  });
}
