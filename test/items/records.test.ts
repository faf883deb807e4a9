import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { decodeRecord, encodeRecord } from "../../replication/records/envelope.ts";
import { placedRecords } from "../../replication/records/placed-records.ts";
import { createMemoryRecords } from "../memory/memory-records.ts";
import { missing } from "../missing.ts";

const CLOCK = { now: () => 0 };
const BODY = { version: 1, name: "é\u{1F600}", value: [1, 2, 3], nothing: undefined } as const;

/** The codes of reading each of these, without doubles. */
function codesOf(all: readonly Uint8Array[]): readonly string[] {
  const codes = all.map((bytes) => {
    try {
      decodeRecord("r.json", 1, bytes);
      return "read";
    } catch (error) {
      return error instanceof LeewardError ? error.code : String(error);
    }
  });
  return [...new Set(codes)];
}

const flips = (bytes: Uint8Array): readonly Uint8Array[] =>
  Array.from({ length: bytes.length * 8 }, (_, bit) =>
    bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)),
  );
const cuts = (bytes: Uint8Array): readonly Uint8Array[] =>
  Array.from({ length: bytes.length }, (_, length) => bytes.slice(0, length));

describe("rule 6: a record", () => {
  it("comes back as it was written", () => {
    expect(decodeRecord("r.json", 1, encodeRecord(BODY))).toEqual(BODY);
  });

  it("is refused with any bit of it changed, cut anywhere, or with more behind it", () => {
    const bytes = encodeRecord(BODY);
    expect(codesOf(flips(bytes))).toEqual(["record-corrupt"]);
    expect(codesOf(cuts(bytes))).toEqual(["record-corrupt"]);
    expect(codesOf([new Uint8Array([...bytes, 32])])).toEqual(["record-corrupt"]);
  });

  it("of another version, or none, is refused, and the message names it", () => {
    for (const body of [{ ...BODY, version: 0 }, { ...BODY, version: 2 }, { name: "x" }, [1], "text", null]) {
      expect(() => decodeRecord("r.json", 1, encodeRecord(body as object))).toThrow(
        expect.objectContaining({ code: "record-corrupt" }),
      );
    }
    expect(() => decodeRecord("r.json", 1, encodeRecord({ version: 2 }))).toThrow("r.json");
  });
});

describe("rule 6: a record in its place", () => {
  const open = () => {
    const raw = createMemoryRecords(CLOCK);
    return { raw, own: placedRecords(raw, "leeward-item-web"), other: placedRecords(raw, "leeward-item-db") };
  };
  const readFrom = async (store: ReturnType<typeof open>["own"], name: string): Promise<unknown> =>
    decodeRecord(name, 1, (await store.read(name))?.bytes ?? new Uint8Array());

  it("comes back by each way of writing it, and the store keeps what it binds", async () => {
    const { raw, own } = open();
    const etag = (await own.create("a.json", encodeRecord(BODY))) ?? "";
    expect(await readFrom(own, "a.json")).toEqual(BODY);
    await own.replace("a.json", encodeRecord({ ...BODY, value: [4] }), etag);
    expect(await readFrom(own, "a.json")).toEqual({ ...BODY, value: [4] });
    await own.put("b.json", encodeRecord(BODY));
    expect(await readFrom(own, "b.json")).toEqual(BODY);
    expect(new TextDecoder().decode((await raw.read("b.json"))?.bytes)).toMatch(
      /^\{"place":"leeward-item-web\/b\.json","bond":"[0-9a-f]{64}","sha256":"[0-9a-f]{64}","body":\{"version":1,/,
    );
  });

  it("is none under another name or for another item, and the error says whose it is", async () => {
    const { raw, own, other } = open();
    await own.put("a.json", encodeRecord(BODY));
    const { bytes } = (await raw.read("a.json")) ?? missing();
    await raw.put("b.json", bytes);
    await expect(readFrom(own, "b.json")).rejects.toMatchObject({
      code: "record-corrupt",
      facts: { place: "leeward-item-web/a.json" },
    });
    await expect(readFrom(other, "a.json")).rejects.toMatchObject({
      code: "record-corrupt",
      facts: { name: "a.json" },
    });
    // One that was written without a place is of an older version.
    await raw.put("c.json", encodeRecord(BODY));
    await expect(readFrom(own, "c.json")).rejects.toMatchObject({ code: "record-corrupt", facts: { place: "" } });
  });

  it("is refused with any bit of it changed, or cut anywhere, and can be replaced by its etag", async () => {
    const { raw, own } = open();
    await own.put("a.json", encodeRecord(BODY));
    const { bytes } = (await raw.read("a.json")) ?? missing();
    const seen: Uint8Array[] = [];
    for (const damaged of [...flips(bytes), ...cuts(bytes)]) {
      await raw.put("a.json", damaged);
      seen.push((await own.read("a.json"))?.bytes ?? missing());
    }
    expect(codesOf(seen)).toEqual(["record-corrupt"]);
    const { etag } = (await own.read("a.json")) ?? missing();
    expect(await own.replace("a.json", encodeRecord(BODY), etag)).toBeDefined();
    expect(await readFrom(own, "a.json")).toEqual(BODY);
  });

  it("leaves other blobs as they are", async () => {
    const { raw, own } = open();
    for (const bytes of [new Uint8Array(), new Uint8Array([1, 2, 3]), new TextEncoder().encode('{"sha256":')]) {
      await own.put("journal/1", bytes);
      expect((await raw.read("journal/1"))?.bytes).toEqual(bytes);
      expect((await own.read("journal/1"))?.bytes).toEqual(bytes);
    }
  });
});
