import { vhdFooter as localFooter } from "@leeward/azure-local/resource-manager/vhd";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DISK_MAX_BYTES } from "../../replication/limits.ts";
import {
  targetBlobBytes,
  vhdChecksum,
  vhdDataBytes,
  vhdFooter,
  vhdGeometry,
  vhdUniqueId,
} from "../../replication/records/vhd-footer.ts";

const GIB = 1024 ** 3;
const field = (footer: Uint8Array, offset: number, length: number): string =>
  Buffer.from(footer.subarray(offset, offset + length)).toString("hex");

describe("the footer of a fixed VHD", () => {
  const footer = vhdFooter({
    sizeBytes: 30 * GIB,
    uniqueId: vhdUniqueId("vm-1", 1, "os"),
    createdMs: Date.UTC(2000, 0, 1, 0, 1, 0, 999),
  });

  it("has every field of the specification at its place", () => {
    expect(footer.length).toBe(512);
    expect(Buffer.from(footer.subarray(0, 8)).toString()).toBe("conectix");
    expect(field(footer, 8, 4)).toBe("00000002");
    expect(field(footer, 12, 4)).toBe("00010000");
    expect(field(footer, 16, 8)).toBe("ffffffffffffffff");
    expect(field(footer, 24, 4)).toBe("0000003c");
    expect(Buffer.from(footer.subarray(28, 32)).toString()).toBe("win ");
    expect(Buffer.from(footer.subarray(36, 40)).toString()).toBe("Wi2k");
    expect(field(footer, 40, 8)).toBe("0000000780000000");
    expect(field(footer, 48, 8)).toBe("0000000780000000");
    expect(field(footer, 60, 4)).toBe("00000002");
    expect(field(footer, 84, 428)).toBe("00".repeat(428));
  });

  it("has a checksum that is the one's complement of the sum of all other bytes", () => {
    const sum = [...footer].reduce((total, byte, at) => (at >= 64 && at < 68 ? total : total + byte), 0);
    expect(new DataView(footer.buffer).getUint32(64)).toBe(0xffff_ffff - sum);
    expect(vhdChecksum(footer)).toBe(0xffff_ffff - sum);
  });

  it("computes the geometry of the specification's appendix", () => {
    // Worked by hand from the appendix.
    expect(vhdGeometry(1024 * 1024)).toEqual({ cylinders: 30, heads: 4, sectorsPerTrack: 17 });
    expect(vhdGeometry(GIB)).toEqual({ cylinders: 2080, heads: 16, sectorsPerTrack: 63 });
    expect(vhdGeometry(30 * GIB)).toEqual({ cylinders: 62_415, heads: 16, sectorsPerTrack: 63 });
    expect(vhdGeometry(127 * GIB)).toEqual({ cylinders: 65_278, heads: 16, sectorsPerTrack: 255 });
    expect(vhdGeometry(DISK_MAX_BYTES)).toEqual({ cylinders: 65_535, heads: 16, sectorsPerTrack: 255 });
  });

  it("describes a geometry that never exceeds the disk and fits its fields", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: DISK_MAX_BYTES / 512 }), (sectors) => {
        const { cylinders, heads, sectorsPerTrack } = vhdGeometry(sectors * 512);
        expect(cylinders * heads * sectorsPerTrack).toBeLessThanOrEqual(sectors);
        expect(cylinders).toBeLessThanOrEqual(65_535);
        expect(heads).toBeLessThanOrEqual(16);
      }),
    );
  });

  it("names the same disk the same way, and another one otherwise", () => {
    expect(vhdUniqueId("vm-1", 1, "os")).toEqual(vhdUniqueId("vm-1", 1, "os"));
    const ids = [
      vhdUniqueId("vm-1", 1, "os"),
      vhdUniqueId("vm-1", 2, "os"),
      vhdUniqueId("vm-1", 1, "data"),
      vhdUniqueId("vm-2", 1, "os"),
    ];
    expect(new Set(ids.map((id) => Buffer.from(id).toString("hex"))).size).toBe(4);
    expect(ids.every((id) => id.length === 16)).toBe(true);
  });

  it("stands behind the data rounded up to a MiB", () => {
    expect(vhdDataBytes(512)).toBe(1024 * 1024);
    expect(vhdDataBytes(1024 * 1024)).toBe(1024 * 1024);
    expect(targetBlobBytes(1024 * 1024 + 512)).toBe(2 * 1024 * 1024 + 512);
    expect(targetBlobBytes(DISK_MAX_BYTES)).toBeLessThanOrEqual(8 * 1024 ** 4);
  });

  it("is the one that the local cloud writes, which was written from the specification by somebody else", () => {
    const sizeMiB = fc.integer({ min: 1, max: 8 * 1024 * 1024 - 1 });
    const createdMs = fc.integer({ min: 946_684_800_000, max: 4_000_000_000_000 });
    fc.assert(
      fc.property(sizeMiB, createdMs, fc.uuid(), (mib, createdAtMs, id) => {
        const sizeBytes = mib * 1024 * 1024;
        const uniqueId = Buffer.from(id.replaceAll("-", ""), "hex");
        const theirs = localFooter(sizeBytes, { uniqueId: id, createdMs: createdAtMs });
        expect(theirs.equals(vhdFooter({ sizeBytes, uniqueId, createdMs: createdAtMs }))).toBe(true);
      }),
    );
  });
});
