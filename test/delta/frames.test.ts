import { randomBytes } from "node:crypto";
import { createZstdCompress } from "node:zlib";
import { describe, expect, it } from "vitest";
import { createCompressor } from "../../replication/delta/compressor.ts";
import { expandFrame, storeFrame } from "../../replication/delta/frames.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const text = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, "a page of a database, again and again. ");

describe("frames", () => {
  const compressor = createCompressor();
  it.each([
    ["small and random", randomBytes(4 * KIB), "raw"],
    ["large and random", randomBytes(MIB), "raw"],
    ["small text", text(4 * KIB), "zstd"],
    ["large text", text(MIB), "zstd"],
    ["one byte less than a sampled frame", text(128 * KIB - 1), "zstd"],
    ["random at its beginning and text behind it", Buffer.concat([randomBytes(256 * KIB), text(768 * KIB)]), "zstd"],
    ["text at its end only", Buffer.concat([randomBytes(700 * KIB), text(324 * KIB)]), "zstd"],
  ] as const)("%s: stored as it is worth", (_, plain, codec) => {
    const stored = storeFrame(plain, compressor);
    expect(stored.codec).toBe(codec);
    const back = stored.codec === "raw" ? stored.bytes : expandFrame(stored.bytes, plain.length);
    expect(plain.equals(back)).toBe(true);
  });
});

describe("rule 9: a frame", () => {
  it("that unpacks to more than its table says is not unpacked", () => {
    const { bytes } = storeFrame(Buffer.alloc(MIB), createCompressor());
    expect(() => expandFrame(bytes, 512)).toThrow(Error);
    expect(expandFrame(bytes, MIB)).toHaveLength(MIB);
  });
});

describe("the compressor", () => {
  const frames = [
    text(512),
    randomBytes(4 * KIB),
    text(MIB),
    randomBytes(MIB),
    text(4 * KIB),
    Buffer.concat([randomBytes(70_000), text(70_000)]),
  ];
  const expanded = (packed: readonly Uint8Array[]): boolean =>
    packed.every((bytes, index) => frames[index]?.equals(expandFrame(bytes, frames[index].length)) === true);

  it("is used again, and every frame stands on its own", () => {
    const compressor = createCompressor();
    const packed = frames.map((plain) => compressor.compress(plain).slice());
    expect(compressor.isReused).toBe(true);
    expect(expanded(packed)).toBe(true);
    // No worse than a fresh one.
    const fresh = frames.map((plain) => createCompressor().compress(plain).length);
    expect(packed.map((bytes) => bytes.length)).toEqual(fresh);
  });

  it.each([
    ["has no binding", () => ({})],
    ["has another binding", () => ({ _handle: { writeSync: () => undefined }, _writeState: new Uint32Array([0, 0]) })],
    [
      "has a binding that throws",
      () => ({ _handle: { writeSync: () => expect.fail("broken") }, _writeState: new Uint32Array(2) }),
    ],
    [
      "writes what does not decode",
      () => ({ _handle: { writeSync: () => undefined }, _writeState: new Uint32Array([7, 0]) }),
    ],
  ])("falls back to the documented call when node:zlib %s", (_, makeStream) => {
    const compressor = createCompressor(makeStream);
    expect(compressor.isReused).toBe(false);
    expect(expanded(frames.map((plain) => compressor.compress(plain)))).toBe(true);
  });

  it("falls back when the binding fails later, and stays there", () => {
    const real = createZstdCompress();
    const binding: unknown = Reflect.get(real, "_handle");
    const state: unknown = Reflect.get(real, "_writeState");
    let calls = 0;
    const writeSync = (...args: readonly unknown[]): void => {
      calls += 1;
      // An error of the codec leaves the state as it was.
      if (calls === 4 || typeof binding !== "object" || binding === null) return;
      const write: unknown = Reflect.get(binding, "writeSync");
      if (typeof write === "function") Reflect.apply(write, binding, args);
    };
    const compressor = createCompressor(() => ({ _handle: { writeSync }, _writeState: state }));
    expect(compressor.isReused).toBe(true);
    expect(expanded(frames.map((plain) => compressor.compress(plain).slice()))).toBe(true);
    expect([calls, compressor.isReused]).toEqual([4, false]);
  });
});
