import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import type { ExtentContent } from "../../replication/delta/delta.ts";
import { splitZeros } from "../../replication/delta/zeros.ts";
import { data, zero } from "./samples.ts";

const KIB = 1024;

/** Bytes of a disk from `offsetBytes` on: one letter a sector, `.` for zeros and `x` for data. */
function sectors(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 512);
  for (const [index, letter] of Array.from(text).entries()) if (letter !== ".") bytes[index * 512 + 511] = 1;
  return bytes;
}
const shape = (pieces: Iterable<ExtentContent>) =>
  [...pieces].map((piece) => [
    piece.kind,
    piece.offsetBytes,
    piece.kind === "data" ? piece.bytes.length : piece.lengthBytes,
  ]);

describe("splitting zeros", () => {
  it("turns whole grains of zeros into zero extents", () => {
    const bytes = sectors(`xxxxxxxx${".".repeat(16)}xxxxxxxx`);
    expect(shape(splitZeros(data(0, 0, bytes)))).toEqual([
      ["data", 0, 4 * KIB],
      ["zero", 4 * KIB, 8 * KIB],
      ["data", 12 * KIB, 4 * KIB],
    ]);
  });

  it("an extent of zeros becomes one zero extent, one of data comes back as it is", () => {
    expect(shape(splitZeros(data(0, 512, new Uint8Array(100 * 512))))).toEqual([["zero", 512, 100 * 512]]);
    expect(shape(splitZeros(data(0, 512, sectors("x..x"))))).toEqual([["data", 512, 4 * 512]]);
    expect([...splitZeros(zero(1, 0, 512))]).toEqual([zero(1, 0, 512)]);
  });

  it("grains are those of the disk: an unaligned extent does not fall into unaligned pieces", () => {
    const bytes = sectors(`x......${".".repeat(8)}........x`);
    expect(shape(splitZeros(data(0, 512, bytes)))).toEqual([
      ["data", 512, 7 * 512],
      ["zero", 4 * KIB, 8 * KIB],
      ["data", 12 * KIB, 512],
    ]);
  });

  it("runs shorter than the minimum stay data", () => {
    const bytes = sectors(`xxxxxxxx${".".repeat(8)}xxxxxxxx${".".repeat(16)}`);
    expect(shape(splitZeros(data(0, 0, bytes), 8 * KIB))).toEqual([
      ["data", 0, 12 * KIB],
      ["zero", 12 * KIB, 8 * KIB],
    ]);
    expect(shape(splitZeros(data(0, 0, sectors("........")), 8 * KIB))).toEqual([["data", 0, 4 * KIB]]);
  });

  it("a short extent of zeros stays data: the default minimum is one grain", () => {
    expect(shape(splitZeros(data(0, 0, sectors("...."))))).toEqual([["data", 0, 4 * 512]]);
  });

  const grains = fc.array(fc.tuple(fc.constantFrom(".", ".", "x"), fc.integer({ min: 1, max: 20 })), {
    minLength: 1,
    maxLength: 20,
  });
  property.prop([grains, fc.nat(9), fc.constantFrom(0, 1, 3), fc.constantFrom(4 * KIB, 16 * KIB)])(
    "for any content the pieces cover the extent, keep its bytes, and hide no long run of zeros",
    (runs, sector, shift, minimum) => {
      const plain = sectors(runs.map(([letter, count]) => letter.repeat(count)).join(""));
      // Also at odd places in memory, where words cannot be read.
      const bytes = new Uint8Array(plain.length + shift).subarray(shift);
      bytes.set(plain);
      const pieces = [...splitZeros(data(0, sector * 512, bytes), minimum)];
      let next = sector * 512;
      for (const piece of pieces) {
        expect(piece.offsetBytes).toBe(next);
        const from = next - sector * 512;
        next += piece.kind === "data" ? piece.bytes.length : piece.lengthBytes;
        const original = bytes.subarray(from, next - sector * 512);
        if (piece.kind === "data") expect(Buffer.compare(piece.bytes, original)).toBe(0);
        else expect([original.every((byte) => byte === 0), piece.lengthBytes >= minimum]).toEqual([true, true]);
      }
      expect(next).toBe(sector * 512 + bytes.length);
      const longest = pieces.flatMap((piece) =>
        piece.kind === "data" ? (Buffer.from(piece.bytes).toString("latin1").match(/\0+/g) ?? []) : [],
      );
      // A run hides at most the grains cut off at both its ends.
      expect(longest.every((run) => run.length < minimum + 2 * 4 * KIB)).toBe(true);
    },
  );
});
