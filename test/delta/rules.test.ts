import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decodeDelta } from "../../replication/delta/decode.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import {
  DISK_ENTRY,
  DISK_ENTRY_BYTES,
  EXTENT_ENTRY,
  FOOTER,
  HEADER,
  PROLOGUE,
  TAIL_MAX_BYTES,
  TAIL_MIN_BYTES,
  writeUint64,
} from "../../replication/delta/layout.ts";
import { DELTA_MAX_BYTES } from "../../replication/limits.ts";
import { forge, sealed, sectionsOf, spliced, type Sections } from "./forge.ts";
import { data, DISKS, noise, prose, sampleHeader, zero } from "./samples.ts";
import { extentAt, FILE, verdict } from "./verdict.ts";

const MIB = 1024 * 1024;

const SECOND_EPOCH = encodeDelta(
  sampleHeader({ epoch: 2, start: { stream: 1, epoch: 1, checksum: "ab".repeat(32) } }),
  [],
).bytes;

/** One frame of bytes that zstd cannot shorten. */
const NOISE = noise(MIB, 3);

type Change = (view: DataView, at: Sections, copy: Uint8Array) => void;
const forged = (change: Change, file = FILE) => verdict(forge(file, change));
const setExtent =
  (index: number, field: "offsetBytes" | "lengthBytes", value: number): Change =>
  (view, at) =>
    writeUint64(view, extentAt(at, index) + EXTENT_ENTRY[field], value);

describe("the file (docs/delta-format.md)", () => {
  it("the untouched file, and one forged without a change, are accepted", () => {
    expect(verdict(FILE)).toEqual(["accepted"]);
    expect(forged(() => undefined)).toEqual(["accepted"]);
    expect(verdict(SECOND_EPOCH)).toEqual(["accepted"]);
  });

  it("D1: a file of more than 64 MiB is too large, one that is too short is corrupt", () => {
    expect(verdict(new Uint8Array(DELTA_MAX_BYTES + 1))).toEqual(["delta-too-large", "D1", "file"]);
    expect(verdict(new Uint8Array(DELTA_MAX_BYTES))).toEqual(["delta-corrupt", "D2", "magic"]);
    expect(verdict(FILE.subarray(0, 367))).toEqual(["delta-corrupt", "D1", "file"]);
    expect(verdict(new Uint8Array(0))).toEqual(["delta-corrupt", "D1", "file"]);
  });

  it("D1: the shortest file has 368 bytes", () => {
    const shortest = encodeDelta(
      sampleHeader({ epoch: 2, start: { stream: 1, epoch: 1, checksum: "ab".repeat(32) }, disks: DISKS.slice(0, 1) }),
      [],
    );
    expect(shortest.bytes.length).toBe(368);
    expect(verdict(shortest.bytes)).toEqual(["accepted"]);
  });

  it("D1: the encoder makes no file above 64 MiB", () => {
    const disks = [{ id: "os", sizeBytes: 1024 * MIB, sectorSizeBytes: 512 as const }];
    const header = sampleHeader({ disks, epoch: 2, start: { stream: 1, epoch: 1, checksum: "ab".repeat(32) } });
    const incompressible = new Uint8Array(64 * MIB);
    for (let offset = 0; offset < incompressible.length; offset += MIB) incompressible.set(NOISE, offset);
    expect(() => encodeDelta(header, [data(0, 0, incompressible)])).toThrow(
      expect.objectContaining({ code: "delta-too-large" }),
    );
  });

  it("D2: other magic bytes are corrupt", () => {
    expect(forged((view) => view.setUint8(0, 0x6c))).toEqual(["delta-corrupt", "D2", "magic"]);
  });

  it("D3: a wrong file checksum is corrupt", () => {
    const copy = new Uint8Array(FILE);
    copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
    expect(verdict(copy)).toEqual(["delta-corrupt", "D3", "fileChecksum"]);
  });

  const versions =
    (version: number, minimum: number): Change =>
    (view, at) => {
      for (const start of [0, at.footer]) {
        view.setUint16(start + PROLOGUE.version, version, true);
        view.setUint16(start + PROLOGUE.minimumReaderVersion, minimum, true);
      }
    };
  it("D4: a file for newer readers is unsupported, a newer file for old readers is read", () => {
    expect(forged(versions(2, 2))).toEqual(["delta-unsupported", "D4", "minimumReaderVersion"]);
    expect(forged(versions(65_535, 65_535))).toEqual(["delta-unsupported", "D4", "minimumReaderVersion"]);
    expect(forged(versions(2, 1))).toEqual(["accepted"]);
    expect(decodeDelta(forge(FILE, versions(2, 1))).formatVersion).toBe(2);
  });

  it("D4: contradictory versions are corrupt, and a damaged file is never taken for a newer one", () => {
    expect(forged(versions(1, 0))).toEqual(["delta-corrupt", "D4", "minimumReaderVersion"]);
    expect(forged(versions(1, 2))).toEqual(["delta-corrupt", "D4", "minimumReaderVersion"]);
    const damaged = new Uint8Array(FILE);
    damaged[PROLOGUE.minimumReaderVersion] = 9;
    expect(verdict(damaged)).toEqual(["delta-corrupt", "D3", "fileChecksum"]);
  });

  it("D5: a footer that does not repeat the prologue is corrupt", () => {
    expect(forged((view, at) => view.setUint16(at.footer + PROLOGUE.version, 2, true))).toEqual([
      "delta-corrupt",
      "D5",
      "prologue",
    ]);
  });

  it("D6: a tail length out of bounds is corrupt", () => {
    for (const length of [0, TAIL_MIN_BYTES - 1, FILE.length - 15, TAIL_MAX_BYTES + 1, 2 ** 32 - 1]) {
      expect(forged((view, at) => view.setUint32(at.footer + FOOTER.tailLength, length, true))).toEqual([
        "delta-corrupt",
        "D6",
        "tailLength",
      ]);
    }
  });

  it("D6: the tail has the stated bounds", () => {
    expect([TAIL_MIN_BYTES, TAIL_MAX_BYTES]).toEqual([352, 5_250_656]);
  });

  it("D7: any reserved byte that is set is corrupt", () => {
    const at = sectionsOf(FILE);
    const ranges = [
      [at.footer + FOOTER.reserved, 12],
      [at.header + HEADER.reserved, 10],
      [at.header + HEADER.item + 4, 32],
      [at.disks + DISK_ENTRY.reserved, 6],
      [at.disks + DISK_ENTRY_BYTES + 2, 78],
      [extentAt(at, 1) + EXTENT_ENTRY.reserved, 1],
    ] as const;
    for (const [start, length] of ranges) {
      for (const offset of [start + length - 1, start + (length > 1 ? 1 : 0)]) {
        expect(forged((view) => view.setUint8(offset, 0x41)).slice(0, 2)).toEqual(["delta-corrupt", "D7"]);
      }
    }
    expect(
      forged((view, at) => {
        view.setUint8(15, 1);
        view.setUint8(at.footer + 15, 1);
      }).slice(0, 2),
    ).toEqual(["delta-corrupt", "D7"]);
  });

  it("D8: a sealed file is unsupported", () => {
    expect(forged((view, at) => view.setUint8(at.footer + FOOTER.seal + 31, 1))).toEqual([
      "delta-unsupported",
      "D8",
      "seal",
    ]);
  });
});

describe("the header", () => {
  const text =
    (offset: (at: Sections) => number, value: string): Change =>
    (_, at, copy) =>
      copy.set(new TextEncoder().encode(value), offset(at));

  it("D9: an invalid item id is corrupt", () => {
    for (const item of ["VM-1", "vm--", "-m-1", "v/-1", "v\u001b-1"]) {
      expect(forged(text((at) => at.header + HEADER.item, item))).toEqual(["delta-corrupt", "D9", "item"]);
    }
    expect(forged((_, at, copy) => copy.fill(0, at.header + HEADER.item, at.header + HEADER.item + 36))[1]).toBe("D9");
  });

  const u64 =
    (field: "epoch" | "startEpoch" | "firstWriteMs" | "lastWriteMs", value: number): Change =>
    (view, at) =>
      writeUint64(view, at.header + HEADER[field], value);

  it("D10: epochs out of range or out of step are corrupt", () => {
    expect(forged(u64("epoch", 0), SECOND_EPOCH)).toEqual(["delta-corrupt", "D10", "epoch"]);
    expect(forged(u64("epoch", 1_000_000_000_000), SECOND_EPOCH)).toEqual(["delta-corrupt", "D10", "epoch"]);
    expect(forged(u64("epoch", 2 ** 64 - 2048), SECOND_EPOCH)).toEqual(["delta-corrupt", "D10", "epoch"]);
    expect(forged(u64("startEpoch", 0), SECOND_EPOCH)).toEqual(["delta-corrupt", "D10", "startEpoch"]);
    expect(forged(u64("startEpoch", 2), SECOND_EPOCH)).toEqual(["delta-corrupt", "D10", "startEpoch"]);
  });

  it("D12: times out of range or out of order are corrupt", () => {
    expect(forged(u64("lastWriteMs", 1))).toEqual(["delta-corrupt", "D12", "lastWriteMs"]);
    expect(forged(u64("lastWriteMs", 253_402_300_800_000))).toEqual(["delta-corrupt", "D12", "lastWriteMs"]);
    expect(forged(u64("firstWriteMs", 2 ** 63))).toEqual(["delta-corrupt", "D12", "firstWriteMs"]);
  });

  it("D13: a disk table that is empty, too long, unordered or invalid is corrupt", () => {
    for (const count of [0, 66, 2 ** 32 - 1]) {
      expect(forged((view, at) => view.setUint32(at.header + HEADER.diskCount, count, true))).toEqual([
        "delta-corrupt",
        "D13",
        "diskCount",
      ]);
    }
    expect(forged(text((at) => at.disks, "zata-1"))).toEqual(["delta-corrupt", "D13", "disks[1].id"]);
    expect(forged(text((at) => at.disks + DISK_ENTRY_BYTES, "data-1"))).toEqual([
      "delta-corrupt",
      "D13",
      "disks[1].id",
    ]);
    for (const id of ["../../", ".ata-1", "da\u0000a-1", "da a-1"]) {
      expect(["D13", "D7"]).toContain(forged(text((at) => at.disks, id))[1]);
    }
    for (const size of [0, 1000, 8 * MIB * MIB - MIB + 512, 2 ** 64 - 2048]) {
      expect(forged((view, at) => writeUint64(view, at.disks + DISK_ENTRY.sizeBytes, size))).toEqual([
        "delta-corrupt",
        "D13",
        "disks[0].sizeBytes",
      ]);
    }
    expect(forged((view, at) => view.setUint16(at.disks + DISK_ENTRY.sectorSizeBytes, 1024, true))[2]).toBe(
      "disks[0].sectorSizeBytes",
    );
  });

  it("D14: unknown consistency or flags are corrupt", () => {
    expect(forged((view, at) => view.setUint8(at.header + HEADER.consistency, 3))).toEqual([
      "delta-corrupt",
      "D14",
      "consistency",
    ]);
    for (const bit of [8, 16, 32, 64, 128]) {
      expect(forged((view, at) => view.setUint8(at.header + HEADER.flags, bit))).toEqual([
        "delta-corrupt",
        "D14",
        "flags",
      ]);
    }
  });
});

describe("the extents", () => {
  it("D15: absurd counts are corrupt before anything is allocated by them", () => {
    for (const count of [131_073, 2 ** 31, 2 ** 32 - 1]) {
      expect(forged((view, at) => view.setUint32(at.header + HEADER.extentCount, count, true))).toEqual([
        "delta-corrupt",
        "D15",
        "extentCount",
      ]);
    }
    expect(forged((view, at) => view.setUint32(at.header + HEADER.frameCount, 131_137, true))).toEqual([
      "delta-corrupt",
      "D15",
      "frameCount",
    ]);
  });

  it("D15: tables that do not fill the tail are corrupt", () => {
    expect(forged((view, at) => view.setUint32(at.header + HEADER.extentCount, 2, true))).toEqual([
      "delta-corrupt",
      "D15",
      "extentCount",
    ]);
    expect(forged((view, at) => view.setUint32(at.header + HEADER.extentCount, 131_072, true))).toEqual([
      "delta-corrupt",
      "D15",
      "extentCount",
    ]);
    expect(forged((view, at) => view.setUint32(at.header + HEADER.diskCount, 65, true))).toEqual([
      "delta-corrupt",
      "D15",
      "extentCount",
    ]);
  });

  it("D15: the encoder refuses more extents than the table may have", () => {
    const disks = [{ id: "os", sizeBytes: 1024 * MIB, sectorSizeBytes: 512 as const }];
    const header = sampleHeader({ disks, epoch: 2, start: { stream: 1, epoch: 1, checksum: "ab".repeat(32) } });
    const zeros = (count: number) => Array.from({ length: count }, (_, index) => zero(0, index * 1024, 512));
    expect(verdict(encodeDelta(header, zeros(131_072)).bytes)).toEqual(["accepted"]);
    expect(() => encodeDelta(header, zeros(131_073))).toThrow(expect.objectContaining({ code: "delta-too-large" }));
  });

  it("D16: trim is unsupported, other kinds are corrupt", () => {
    const kind = (value: number) => forged((view, at) => view.setUint8(extentAt(at, 1) + EXTENT_ENTRY.kind, value));
    expect(kind(3)).toEqual(["delta-unsupported", "D16", "extents[1].kind"]);
    for (const value of [0, 4, 255]) expect(kind(value)).toEqual(["delta-corrupt", "D16", "extents[1].kind"]);
  });

  it("D17: a disk that is not in the table is corrupt", () => {
    expect(forged((view, at) => view.setUint16(extentAt(at, 2) + EXTENT_ENTRY.disk, 2, true))).toEqual([
      "delta-corrupt",
      "D17",
      "extents[2].disk",
    ]);
  });

  it("D18: unaligned and empty extents are corrupt", () => {
    expect(forged(setExtent(1, "offsetBytes", 8193))).toEqual(["delta-corrupt", "D18", "extents[1].offsetBytes"]);
    expect(forged(setExtent(1, "lengthBytes", 4095))).toEqual(["delta-corrupt", "D18", "extents[1].lengthBytes"]);
    expect(forged(setExtent(1, "lengthBytes", 0))).toEqual(["delta-corrupt", "D18", "extents[1].lengthBytes"]);
  });

  it("D19: an extent beyond the end of its disk is corrupt", () => {
    expect(forged(setExtent(1, "offsetBytes", 16 * MIB))).toEqual(["delta-corrupt", "D19", "extents[1].lengthBytes"]);
    expect(forged(setExtent(1, "lengthBytes", 16 * MIB))).toEqual(["delta-corrupt", "D19", "extents[1].lengthBytes"]);
    expect(forged(setExtent(1, "offsetBytes", 2 ** 64 - 2048))[0]).toBe("delta-corrupt");
    expect(forged(setExtent(0, "lengthBytes", 2 ** 64 - 2048))[0]).toBe("delta-corrupt");
  });

  it("D20: overlapping and unsorted extents are corrupt, touching ones are not", () => {
    expect(forged(setExtent(1, "offsetBytes", 4096))).toEqual(["delta-corrupt", "D20", "extents[1].offsetBytes"]);
    expect(forged(setExtent(1, "offsetBytes", 0))).toEqual(["delta-corrupt", "D20", "extents[1].offsetBytes"]);
    expect(forged((view, at) => view.setUint16(extentAt(at, 1) + EXTENT_ENTRY.disk, 1, true))).toEqual([
      "delta-corrupt",
      "D20",
      "extents[2].offsetBytes",
    ]);
    expect(forged(setExtent(1, "offsetBytes", 4608))).toEqual(["accepted"]);
  });

  it("D21: more than 64 MiB of plain bytes is too large, for the encoder and for the reader of a forged table", () => {
    const disks = [{ id: "os", sizeBytes: 1024 * MIB, sectorSizeBytes: 512 as const }];
    const header = sampleHeader({ disks, epoch: 2, start: { stream: 1, epoch: 1, checksum: "ab".repeat(32) } });
    const full = encodeDelta(header, [data(0, 0, new Uint8Array(64 * MIB))]);
    expect(decodeDelta(full.bytes).frames.length).toBe(64);
    expect(() => encodeDelta(header, [data(0, 0, new Uint8Array(64 * MIB + 512))])).toThrow(
      expect.objectContaining({ code: "delta-too-large", facts: expect.objectContaining({ rule: "D21" }) }),
    );
    expect(forged(setExtent(0, "lengthBytes", 64 * MIB + 512), full.bytes)).toEqual([
      "delta-too-large",
      "D21",
      "extents[0].lengthBytes",
    ]);
  });
});

describe("the frames", () => {
  const storage =
    (index: number, codec: number, lengthBytes: number): Change =>
    (view, at) =>
      view.setUint32(at.storage + 4 * index, codec * 2 ** 24 + lengthBytes, true);

  it("D22: a frame count other than that of the extents is corrupt, so that no frame can be longer than 1 MiB or span extents", () => {
    expect(forged(setExtent(2, "lengthBytes", 2 * MIB))).toEqual(["delta-corrupt", "D22", "frameCount"]);
    expect(forged((view, at) => view.setUint8(extentAt(at, 1) + EXTENT_ENTRY.kind, 1))).toEqual([
      "delta-corrupt",
      "D22",
      "frameCount",
    ]);
  });

  it("D22: frames are cut at every MiB of their own extent, not of the disk", () => {
    const decoded = decodeDelta(encodeDelta(sampleHeader(), [data(0, 512, new Uint8Array(MIB + 512))]).bytes);
    expect(decoded.frames.map((frame) => [frame.offsetBytes, frame.lengthBytes])).toEqual([
      [512, MIB],
      [512 + MIB, 512],
    ]);
  });

  it("D23: an unknown codec is unsupported", () => {
    expect(forged(storage(1, 2, 1024))).toEqual(["delta-unsupported", "D23", "frames[1]"]);
  });

  it("D24: stored lengths that cannot be are corrupt", () => {
    for (const [codec, length] of [
      [0, 1023],
      [0, 1025],
      [1, 0],
      [1, 1024],
      [1, 2 ** 24 - 1],
    ] as const) {
      expect(forged(storage(1, codec, length))).toEqual(["delta-corrupt", "D24", "frames[1]"]);
    }
  });

  it("D24: stored frames that leave a gap before the tail are corrupt", () => {
    const gap = spliced(FILE, sectionsOf(FILE).header, 0, new Uint8Array(5));
    expect(verdict(sealed(gap))).toEqual(["delta-corrupt", "D24", "frames"]);
  });

  /** A file with one zero-filled data extent whose stored frame is replaced by `packed`. */
  function withFrame(lengthBytes: number, packed: Uint8Array): Uint8Array {
    const file = encodeDelta(sampleHeader(), [data(0, 0, new Uint8Array(lengthBytes))]).bytes;
    const before = sectionsOf(file).header - 16;
    const replaced = spliced(file, 16, before, packed);
    return forge(replaced, (view, at) => view.setUint32(at.storage, 2 ** 24 + packed.length, true));
  }

  it("D25: a frame that decodes to more than its plain length stops there", () => {
    const bomb = zstdCompressSync(new Uint8Array(64 * MIB));
    expect(bomb.length).toBeLessThan(10_000);
    expect(verdict(withFrame(MIB, bomb))).toEqual(["delta-corrupt", "D25", "frames[0]"]);
    expect(verdict(withFrame(512, zstdCompressSync(new Uint8Array(513))))).toEqual([
      "delta-corrupt",
      "D25",
      "frames[0]",
    ]);
  });

  it("D25: a frame that decodes to less, or not at all, is corrupt", () => {
    expect(verdict(withFrame(4096, zstdCompressSync(new Uint8Array(4095))))).toEqual([
      "delta-corrupt",
      "D25",
      "frames[0]",
    ]);
    expect(verdict(withFrame(4096, noise(100, 5)))).toEqual(["delta-corrupt", "D25", "frames[0]"]);
    expect(verdict(withFrame(4096, zstdCompressSync(new Uint8Array(4096)).subarray(0, 10)))).toEqual([
      "delta-corrupt",
      "D25",
      "frames[0]",
    ]);
  });

  it("D25: a frame that makes its reader allocate a longer window than 1 MiB is corrupt", () => {
    // RFC 8878: magic, a descriptor without content size, the window, and one last block that repeats a zero 4096
    // times.
    const withWindow = (window: number) => Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x03, 0x80, 0x00, 0x00);
    const oneMib = 10 << 3;
    const hugeWindow = 17 << 3;
    expect(verdict(withFrame(4096, withWindow(oneMib)))).toEqual(["accepted"]);
    expect(zstdDecompressSync(withWindow(hugeWindow)).length).toBe(4096);
    expect(verdict(withFrame(4096, withWindow(hugeWindow)))).toEqual(["delta-corrupt", "D25", "frames[0]"]);
  });

  it("D25: the encoder keeps a frame raw where zstd saves less than 5 %", () => {
    const mixed = new Uint8Array(10_240);
    mixed.set(noise(9984, 9));
    const decoded = decodeDelta(encodeDelta(sampleHeader(), [data(0, 0, mixed), data(0, 16_384, prose(512, 1))]).bytes);
    expect(zstdCompressSync(mixed, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }).length).toBeLessThan(10_240);
    expect([decoded.stored(0).codec, decoded.stored(1).codec]).toEqual(["raw", "zstd"]);
  });

  it("D26: plain bytes that do not match their checksum are corrupt, raw or zstd", () => {
    expect(forged((view, at) => view.setUint8(at.header - 1, view.getUint8(at.header - 1) ^ 1))).toEqual([
      "delta-corrupt",
      "D26",
      "frames[1]",
    ]);
    expect(verdict(withFrame(4096, zstdCompressSync(prose(4096, 8))))).toEqual(["delta-corrupt", "D26", "frames[0]"]);
  });

  it("D26: one bad frame does not keep the others from being read", () => {
    const delta = decodeDelta(
      forge(FILE, (view, at) => view.setUint8(at.header - 1, view.getUint8(at.header - 1) ^ 1)),
    );
    expect(new Uint8Array(delta.frame(0))).toEqual(prose(4096, 1));
    expect(() => delta.frame(1)).toThrow(expect.objectContaining({ code: "delta-corrupt" }));
  });
});
