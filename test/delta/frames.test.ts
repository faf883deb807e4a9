import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { freshCompressor } from "../../replication/delta/compressor.ts";
import { expandFrame, storeFrame } from "../../replication/delta/frames.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const text = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, "a page of a database, again and again. ");

describe("frames", () => {
  it.each([
    ["small and random", randomBytes(4 * KIB), "raw"],
    ["large and random", randomBytes(MIB), "raw"],
    ["small text", text(4 * KIB), "zstd"],
    ["large text", text(MIB), "zstd"],
    ["one byte less than a sampled frame", text(128 * KIB - 1), "zstd"],
    ["random at its beginning and text behind it", Buffer.concat([randomBytes(256 * KIB), text(768 * KIB)]), "zstd"],
    ["text at its end only", Buffer.concat([randomBytes(700 * KIB), text(324 * KIB)]), "zstd"],
  ] as const)("%s: stored as it is worth", (_, plain, codec) => {
    const stored = storeFrame(plain, freshCompressor);
    expect(stored.codec).toBe(codec);
    const back = stored.codec === "raw" ? stored.bytes : expandFrame(stored.bytes, plain.length);
    expect(plain.equals(back)).toBe(true);
  });
});

describe("rule 9: a frame", () => {
  it("that unpacks to more than its table says is not unpacked", () => {
    const { bytes } = storeFrame(Buffer.alloc(MIB), freshCompressor);
    expect(() => expandFrame(bytes, 512)).toThrow(Error);
    expect(expandFrame(bytes, MIB)).toHaveLength(MIB);
  });
});
