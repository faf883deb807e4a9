import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { decodedFrames, decodeDelta } from "../../replication/delta/decode.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { LeewardError } from "../../replication/errors.ts";
import { forge, sealed, sectionsOf } from "./forge.ts";
import { data, DISKS, noise, prose, sampleHeader, zero } from "./samples.ts";

const FILE = encodeDelta(sampleHeader({ disks: DISKS }), [
  data(0, 512, prose(2048, 1)),
  zero(0, 8192, 4096),
  data(1, 1024, noise(512, 2)),
]).bytes;

/**
 * The code of the error with which these bytes are refused, or "accepted". Anything but a LeewardError fails the test.
 */
function outcome(bytes: Uint8Array): string {
  try {
    let plainBytes = 0;
    for (const frame of decodedFrames(decodeDelta(bytes))) plainBytes += frame.bytes.length;
    return plainBytes >= 0 ? "accepted" : "";
  } catch (error) {
    if (error instanceof LeewardError) return error.code;
    throw error;
  }
}

const DAMAGE_CODES = ["delta-corrupt", "delta-unsupported", "delta-too-large"];

describe("damage", () => {
  it("D3: every single flipped bit is detected as damage", () => {
    const undetected: number[] = [];
    for (let bit = 0; bit < FILE.length * 8; bit += 1) {
      const copy = new Uint8Array(FILE);
      copy[bit >>> 3] = (copy[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      if (outcome(copy) !== "delta-corrupt") undetected.push(bit);
    }
    expect(undetected).toEqual([]);
  });

  it("D3: a file cut off at any length is detected as damage, and so is one with bytes behind it", () => {
    const undetected: number[] = [];
    for (let length = 0; length < FILE.length; length += 1) {
      if (outcome(FILE.subarray(0, length)) !== "delta-corrupt") undetected.push(length);
    }
    expect(undetected).toEqual([]);
    expect(outcome(Buffer.concat([FILE, new Uint8Array(1)]))).toBe("delta-corrupt");
    expect(outcome(Buffer.concat([FILE, FILE]))).toBe("delta-corrupt");
  });

  it("a file inside a larger buffer is read where it stands", () => {
    const padded = Buffer.concat([new Uint8Array(13), FILE, new Uint8Array(7)]);
    expect(outcome(padded.subarray(13, 13 + FILE.length))).toBe("accepted");
  });

  it("every flipped bit of header, tables and footer behind a new file checksum is refused, or changes nothing but the form", () => {
    const intact = decodeDelta(FILE);
    const wrong: number[] = [];
    for (let bit = sectionsOf(FILE).header * 8; bit < (FILE.length - 32) * 8; bit += 1) {
      const copy = new Uint8Array(FILE);
      copy[bit >>> 3] = (copy[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      const result = outcome(sealed(copy));
      if (DAMAGE_CODES.includes(result)) continue;
      const decoded = decodeDelta(sealed(copy));
      const same =
        decoded.end.checksum === intact.end.checksum &&
        decoded.frames.every((_, index) => Buffer.compare(decoded.frame(index), intact.frame(index)) === 0);
      if (!same) wrong.push(bit);
    }
    expect(wrong).toEqual([]);
  });

  property.prop([fc.uint8Array({ maxLength: 2000 })])("any bytes are refused with a code of the format", (bytes) => {
    expect(DAMAGE_CODES).toContain(outcome(bytes));
    expect(DAMAGE_CODES).toContain(
      outcome(bytes.length < 32 ? bytes : sealed(Buffer.concat([FILE.subarray(0, 16), bytes]))),
    );
  });

  const edit = fc.tuple(
    fc.nat(),
    fc.constantFrom(1, 2, 4, 8),
    fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 1n, 511n, 2n ** 32n - 1n, 2n ** 53n)),
  );
  property.prop([fc.array(edit, { minLength: 1, maxLength: 6 }), fc.boolean()], { numRuns: 3000 })(
    "a forger who changes any fields and computes all checksums anew gets a code of the format or a delta within its disks",
    (edits, keepEnd) => {
      const forged = forge(
        FILE,
        (view, at) => {
          for (const [where, width, value] of edits) {
            // Mostly the tail, which is where the fields are; the footer's tail length is needed by the forger himself.
            const offset = at.header + (where % (FILE.length - 40 - at.header));
            for (let index = 0; index < width; index += 1)
              view.setUint8(offset + index, Number((value >> BigInt(8 * index)) & 0xffn));
          }
        },
        keepEnd,
      );
      const result = outcome(forged);
      if (result !== "accepted") {
        expect(DAMAGE_CODES).toContain(result);
        return;
      }
      for (const extent of decodeDelta(forged).extents) {
        expect(extent.offsetBytes + extent.lengthBytes).toBeLessThanOrEqual(
          decodeDelta(forged).header.disks[extent.disk]?.sizeBytes ?? 0,
        );
      }
    },
  );
});
