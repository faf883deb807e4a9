import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { decodedFrames, decodeDelta } from "../../replication/delta/decode.ts";
import type { DeltaHeader, ExtentContent } from "../../replication/delta/delta.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { invariant } from "../../replication/errors.ts";
import { startPosition } from "../../replication/position.ts";
import { data, DISKS, noise, NONCE, prose, sampleHeader, zero } from "./samples.ts";

const MIB = 1024 * 1024;

describe("encode and decode", () => {
  it("gives back header, extents, frames, content and end position", () => {
    const header = sampleHeader({ flags: { consistency: "application", seeding: true, final: true, groupMark: true } });
    const long = noise(2 * MIB + 512, 7);
    const encoded = encodeDelta(header, [data(0, 512, prose(4096, 1)), zero(0, 8192, 4096), data(1, 1024, long)]);
    const decoded = decodeDelta(encoded.bytes);
    expect(decoded.header).toEqual(header);
    expect(decoded.end).toEqual(encoded.end);
    expect(decoded.extents).toEqual([
      { kind: "data", disk: 0, offsetBytes: 512, lengthBytes: 4096 },
      { kind: "zero", disk: 0, offsetBytes: 8192, lengthBytes: 4096 },
      { kind: "data", disk: 1, offsetBytes: 1024, lengthBytes: 2 * MIB + 512 },
    ]);
    expect(decoded.frames).toEqual([
      { disk: 0, offsetBytes: 512, lengthBytes: 4096 },
      { disk: 1, offsetBytes: 1024, lengthBytes: MIB },
      { disk: 1, offsetBytes: 1024 + MIB, lengthBytes: MIB },
      { disk: 1, offsetBytes: 1024 + 2 * MIB, lengthBytes: 512 },
    ]);
    expect(decoded.frames.map((_, index) => decoded.stored(index).codec)).toEqual(["zstd", "raw", "raw", "raw"]);
    expect(new Uint8Array(decoded.frame(0))).toEqual(prose(4096, 1));
    expect(Buffer.concat([decoded.frame(1), decoded.frame(2), decoded.frame(3)]).equals(long)).toBe(true);
  });

  it("the size hint changes nothing but the memory", () => {
    const extents = [data(0, 0, noise(300_032, 1)), data(1, 0, prose(MIB, 2))];
    const outputs = [undefined, 0, 1, 400_000, 2 ** 40].map((hint) => encodeDelta(sampleHeader(), extents, hint));
    expect(new Set(outputs.map((output) => Buffer.from(output.bytes).toString("base64"))).size).toBe(1);
    // Nobody who keeps a delta keeps a much larger buffer alive with it.
    for (const { bytes } of outputs) expect(bytes.buffer.byteLength).toBeLessThan(bytes.length * 1.4 + 4096);
  });

  it("extents are read once, one after the other, so that a generator can supply them", () => {
    const asked: number[] = [];
    function* extents(): Generator<ExtentContent> {
      for (let index = 0; index < 100; index += 1) {
        asked.push(index);
        yield index % 2 === 0 ? data(0, index * 1024, prose(512, index)) : zero(0, index * 1024, 1024);
      }
    }
    expect(decodeDelta(encodeDelta(sampleHeader(), extents()).bytes).extents.length).toBe(100);
    expect(asked).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });

  it("D13: the largest disks in the largest number, with the longest names, go through", () => {
    const disks = Array.from({ length: 65 }, (_, index) => ({
      id: `d${String(index).padStart(2, "0")}`.padEnd(80, "x"),
      sizeBytes: 8 * MIB * MIB - MIB,
      sectorSizeBytes: 4096 as const,
    }));
    const itemId = "a".repeat(36);
    const stream = 2 ** 32 - 1;
    const header = sampleHeader({ itemId, stream, disks, start: startPosition(itemId, stream, disks, NONCE) });
    const decoded = decodeDelta(encodeDelta(header, [zero(64, 0, 8 * MIB * MIB - MIB)]).bytes);
    expect(decoded.header).toEqual(header);
    expect(decoded.extents).toEqual([{ kind: "zero", disk: 64, offsetBytes: 0, lengthBytes: 8 * MIB * MIB - MIB }]);
  });

  it("frame indexes that do not exist are a fault of the caller", () => {
    const decoded = decodeDelta(encodeDelta(sampleHeader(), []).bytes);
    for (const index of [-1, 0, 0.5])
      expect(() => decoded.frame(index)).toThrow(expect.objectContaining({ code: "internal" }));
  });
});

/** Sorted extents on the two sample disks: gaps and lengths in sectors, and what each holds. */
const contents = fc
  .array(
    fc.record({
      disk: fc.nat(1),
      gap: fc.nat(40),
      sectors: fc.integer({ min: 1, max: 60 }),
      fill: fc.constantFrom("zero", "zeros", "noise", "prose"),
      seed: fc.nat(1000),
    }),
    { maxLength: 30 },
  )
  .map((pieces) => {
    const next = [0, 0];
    return pieces
      .toSorted((left, right) => left.disk - right.disk)
      .map(({ disk, gap, sectors, fill, seed }): ExtentContent => {
        const offsetBytes = (next[disk] ?? 0) + gap * 512;
        const lengthBytes = sectors * 512;
        next[disk] = offsetBytes + lengthBytes;
        if (fill === "zero") return zero(disk, offsetBytes, lengthBytes);
        return data(
          disk,
          offsetBytes,
          fill === "zeros"
            ? new Uint8Array(lengthBytes)
            : fill === "noise"
              ? noise(lengthBytes, seed)
              : prose(lengthBytes, seed),
        );
      });
  });
const headers: fc.Arbitrary<DeltaHeader> = fc
  .record({
    epoch: fc.integer({ min: 2, max: 999_999_999_999 }),
    stream: fc.nat(2 ** 32 - 1),
    checksum: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    firstWriteMs: fc.nat(2_000_000_000),
    tookMs: fc.nat(100_000),
    consistency: fc.constantFrom("crash" as const, "file-system" as const, "application" as const),
    seeding: fc.boolean(),
    final: fc.boolean(),
    groupMark: fc.boolean(),
  })
  .map(({ epoch, stream, checksum, firstWriteMs, tookMs, ...flags }) =>
    sampleHeader({
      stream,
      epoch,
      firstWriteMs,
      lastWriteMs: firstWriteMs + tookMs,
      start: { stream, epoch: epoch - 1, checksum: Buffer.from(checksum).toString("hex") },
      flags,
    }),
  );

describe("for any header and any extents", () => {
  property.prop([headers, contents])("decoding gives back what was encoded", (header, extents) => {
    const encoded = encodeDelta(header, extents);
    const decoded = decodeDelta(encoded.bytes);
    expect(decoded.header).toEqual(header);
    expect(decoded.end).toEqual(encoded.end);
    expect(decoded.extents).toEqual(
      extents.map(({ kind, disk, offsetBytes, ...rest }) => ({
        kind,
        disk,
        offsetBytes,
        lengthBytes: "bytes" in rest ? rest.bytes.length : rest.lengthBytes,
      })),
    );
    const images = DISKS.map((disk) => new Uint8Array(disk.sizeBytes / 16).fill(0xee));
    const expected = images.map((image) => image.slice());
    for (const extent of extents) {
      if (extent.kind === "zero")
        expected[extent.disk]?.fill(0, extent.offsetBytes, extent.offsetBytes + extent.lengthBytes);
      else expected[extent.disk]?.set(extent.bytes, extent.offsetBytes);
    }
    for (const extent of decoded.extents) {
      if (extent.kind === "zero")
        images[extent.disk]?.fill(0, extent.offsetBytes, extent.offsetBytes + extent.lengthBytes);
    }
    for (const { entry, bytes } of decodedFrames(decoded)) {
      invariant(bytes.length === entry.lengthBytes, "a frame is as long as its entry says");
      images[entry.disk]?.set(bytes, entry.offsetBytes);
    }
    expect(images.map((image, index) => Buffer.compare(image, expected[index] ?? new Uint8Array()))).toEqual([0, 0]);
  });
});
