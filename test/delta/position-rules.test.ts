import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { decodeDelta } from "../../replication/delta/decode.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { FOOTER, writeUint64 } from "../../replication/delta/layout.ts";
import { deltaName, parseDeltaName } from "../../replication/names.ts";
import { forge, sectionsOf, spliced } from "./forge.ts";
import { data, DISKS, prose, sampleHeader, zero } from "./samples.ts";
import { extentAt, FILE, verdict } from "./verdict.ts";

describe("positions and names", () => {
  it("D28: names have fixed width, so that they sort as text, and fit every stream and epoch that a header can carry", () => {
    expect(deltaName(1, 42)).toBe("0000000001/000000000042");
    expect(parseDeltaName("0000000001/000000000042")).toEqual({ stream: 1, epoch: 42 });
    expect(deltaName(2 ** 32 - 1, 999_999_999_999)).toBe("4294967295/999999999999");
    for (const name of [
      "1/42",
      "0000000001/000000000042.delta",
      "0000000001/00000000004x",
      "x0000000001/000000000042",
    ]) {
      expect(parseDeltaName(name)).toBeUndefined();
    }
  });

  it("D27: an end checksum that does not follow from header and tables is corrupt", () => {
    const wrong = forge(FILE, (view, at) => view.setUint8(at.footer + FOOTER.endChecksum, 0), true);
    expect(verdict(wrong)).toEqual(["delta-corrupt", "D27", "endChecksum"]);
    const otherTable = forge(FILE, (view, at) => writeUint64(view, extentAt(at, 1), 4608), true);
    expect(verdict(otherTable)).toEqual(["delta-corrupt", "D27", "endChecksum"]);
  });

  it("D27: the end checksum is SHA-256 over header, disk table, extent table and checksum table", () => {
    const at = sectionsOf(FILE);
    const expected = createHash("sha256").update(FILE.subarray(at.header, at.storage)).digest("hex");
    expect(decodeDelta(FILE).end).toEqual({ stream: 1, epoch: 1, checksum: expected });
  });

  it("D27: storing a frame differently does not change the position", () => {
    const encoded = encodeDelta(sampleHeader(), [data(0, 0, prose(4096, 1))]);
    const before = sectionsOf(encoded.bytes).header - 16;
    const raw = forge(
      spliced(encoded.bytes, 16, before, prose(4096, 1)),
      (view, at) => view.setUint32(at.storage, 4096, true),
      true,
    );
    const decoded = decodeDelta(raw);
    expect(decoded.stored(0).codec).toBe("raw");
    expect(new Uint8Array(decoded.frame(0))).toEqual(prose(4096, 1));
    expect(decoded.end).toEqual(encoded.end);
  });

  it("D27: every field that says what a delta means changes the position", () => {
    const flags = sampleHeader().flags;
    const header = sampleHeader({ epoch: 2, start: { stream: 1, epoch: 1, checksum: "ab".repeat(32) } });
    const content = [data(0, 0, prose(1024, 1)), zero(0, 4096, 4096)];
    const variants = [
      encodeDelta(header, content),
      encodeDelta({ ...header, itemId: "vm-2" }, content),
      encodeDelta({ ...header, stream: 2, start: { ...header.start, stream: 2 } }, content),
      encodeDelta({ ...header, epoch: 3, start: { ...header.start, epoch: 2 } }, content),
      encodeDelta({ ...header, start: { ...header.start, checksum: "ac".repeat(32) } }, content),
      encodeDelta({ ...header, firstWriteMs: header.firstWriteMs - 1 }, content),
      encodeDelta({ ...header, lastWriteMs: header.lastWriteMs + 1 }, content),
      encodeDelta({ ...header, flags: { ...flags, seeding: true } }, content),
      encodeDelta({ ...header, flags: { ...flags, final: true } }, content),
      encodeDelta({ ...header, flags: { ...flags, groupMark: true } }, content),
      encodeDelta({ ...header, flags: { ...flags, consistency: "file-system" } }, content),
      encodeDelta({ ...header, disks: DISKS.map((disk) => ({ ...disk, sizeBytes: disk.sizeBytes + 512 })) }, content),
      encodeDelta(header, [data(0, 0, prose(1024, 2)), zero(0, 4096, 4096)]),
      encodeDelta(header, [data(0, 512, prose(1024, 1)), zero(0, 4096, 4096)]),
      encodeDelta(header, [data(0, 0, prose(1024, 1)), zero(0, 4096, 8192)]),
      encodeDelta(header, [data(0, 0, prose(1024, 1)), zero(1, 4096, 4096)]),
      encodeDelta(header, [data(0, 0, prose(1024, 1)), data(0, 4096, new Uint8Array(4096))]),
      encodeDelta(header, content.slice(0, 1)),
    ];
    expect(new Set(variants.map((variant) => variant.end.checksum)).size).toBe(variants.length);
  });
});
