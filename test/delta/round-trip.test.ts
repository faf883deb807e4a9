import { describe, expect, it } from "vitest";
import { decodeDelta } from "../../replication/delta/decode.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { data, noise, prose, sampleHeader, zero } from "./samples.ts";

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
});
