import { describe, expect, it } from "vitest";
import { decodeDelta } from "../../replication/delta/decode.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import {
  DISK_ENTRY,
  DISK_ENTRY_BYTES,
  EXTENT_ENTRY,
  EXTENT_ENTRY_BYTES,
  HEADER,
  writeUint64,
} from "../../replication/delta/layout.ts";
import { LeewardError } from "../../replication/errors.ts";
import { forge, sectionsOf } from "./forge.ts";
import { data, DISKS, noise, prose, sampleHeader, zero } from "./samples.ts";

const MIB = 1024 * 1024;

describe("the encoder", () => {
  /** The rule that the encoder says its caller has broken. */
  function refusal(
    change: Parameters<typeof sampleHeader>[0],
    extents: Parameters<typeof encodeDelta>[1] = [],
  ): unknown {
    try {
      encodeDelta(sampleHeader(change), extents);
    } catch (error) {
      if (error instanceof LeewardError && error.code === "internal") return error.facts["rule"];
      throw error;
    }
    return "accepted";
  }
  const start = { stream: 1, epoch: 1, checksum: "ab".repeat(32) };
  const later = { epoch: 2, start };

  it("D9 to D14: refuses a header that no reader would accept", () => {
    expect(refusal(later)).toBe("accepted");
    expect(refusal({ ...later, itemId: "VM" })).toBe("D9");
    expect(refusal({ epoch: 0, start: { ...start, epoch: -1 } })).toBe("D10");
    expect(refusal({ ...later, epoch: 3 })).toBe("D10");
    expect(refusal({ ...later, stream: 2 })).toBe("D10");
    for (const stream of [-1, 0.5, 2 ** 32])
      expect(refusal({ ...later, stream, start: { ...start, stream } })).toBe("D10");
    expect(refusal({ ...later, start: { ...start, checksum: "AB".repeat(32) } })).toBe("D10");
    // Where a stream begins, only those can tell who know its nonce.
    expect(refusal({ start: { stream: 1, epoch: 0, checksum: "ab".repeat(32) } })).toBe("accepted");
    expect(refusal({ ...later, firstWriteMs: 1.5 })).toBe("D12");
    expect(refusal({ ...later, lastWriteMs: 0 })).toBe("D12");
    expect(refusal({ ...later, disks: [] })).toBe("D13");
    const many = Array.from({ length: 66 }, (_, index) => ({
      id: `d${100 + index}`,
      sizeBytes: MIB,
      sectorSizeBytes: 512 as const,
    }));
    expect(refusal({ ...later, disks: many.slice(1) })).toBe("accepted");
    expect(refusal({ ...later, disks: many })).toBe("D13");
    expect(refusal({ ...later, disks: DISKS.toReversed() })).toBe("D13");
  });

  it("D17 to D20: refuses extents that no reader would accept", () => {
    expect(refusal({}, [zero(2, 0, 512)])).toBe("D17");
    expect(refusal({}, [zero(0, 0, 0)])).toBe("D18");
    expect(refusal({}, [zero(0, 256, 512)])).toBe("D18");
    expect(refusal({}, [zero(0, -512, 512)])).toBe("D18");
    expect(refusal({}, [data(0, 0, new Uint8Array(100))])).toBe("D18");
    expect(refusal({}, [zero(0, 16 * MIB, 512)])).toBe("D19");
    expect(refusal({}, [zero(0, 0, 1024), zero(0, 512, 512)])).toBe("D20");
    expect(refusal({}, [zero(1, 0, 512), zero(0, 512, 512)])).toBe("D20");
  });
});

describe("an error", () => {
  /** Three extents, two disks, two frames. */
  const FILE = encodeDelta(sampleHeader(), [
    data(0, 512, prose(4096, 1)),
    zero(0, 8192, 4096),
    data(1, 1024, noise(1024, 2)),
  ]).bytes;
  const offsetOf = (change: (view: DataView) => void): unknown => {
    try {
      decodeDelta(forge(FILE, change));
    } catch (error) {
      return error instanceof LeewardError ? error.facts["offsetBytes"] : error;
    }
    return undefined;
  };

  it("says where in the file the field stands", () => {
    const at = sectionsOf(FILE);
    const secondExtent = at.extents + EXTENT_ENTRY_BYTES;
    expect(offsetOf((view) => view.setUint16(at.disks + DISK_ENTRY_BYTES + DISK_ENTRY.sectorSizeBytes, 7, true))).toBe(
      at.disks + DISK_ENTRY_BYTES + DISK_ENTRY.sectorSizeBytes,
    );
    expect(offsetOf((view) => writeUint64(view, at.disks + DISK_ENTRY_BYTES + DISK_ENTRY.sizeBytes, 7))).toBe(
      at.disks + DISK_ENTRY_BYTES + DISK_ENTRY.sizeBytes,
    );
    expect(offsetOf((view) => writeUint64(view, at.header + HEADER.lastWriteMs, 0))).toBe(
      at.header + HEADER.lastWriteMs,
    );
    expect(offsetOf((view) => writeUint64(view, secondExtent + EXTENT_ENTRY.lengthBytes, 7))).toBe(
      secondExtent + EXTENT_ENTRY.lengthBytes,
    );
    expect(offsetOf((view) => view.setUint32(at.storage + 4, 0, true))).toBe(at.storage + 4);
  });
});
