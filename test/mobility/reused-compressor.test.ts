import { randomBytes } from "node:crypto";
import { createZstdCompress } from "node:zlib";
import { describe, expect, it } from "vitest";
import { createReusedCompressor } from "../../mobility/epochs/reused-compressor.ts";
import { freshCompressor } from "../../replication/delta/compressor.ts";
import { expandFrame } from "../../replication/delta/frames.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const text = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, "a page of a database, again and again. ");

describe("the compressor of the sealing thread", () => {
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
    const compressor = createReusedCompressor();
    const packed = frames.map((plain) => compressor.compress(plain).slice());
    expect(compressor.isReused).toBe(true);
    expect(expanded(packed)).toBe(true);
    // No worse than a fresh one.
    const fresh = frames.map((plain) => freshCompressor.compress(plain).length);
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
    const compressor = createReusedCompressor(makeStream);
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
    const compressor = createReusedCompressor(() => ({ _handle: { writeSync }, _writeState: state }));
    expect(compressor.isReused).toBe(true);
    expect(expanded(frames.map((plain) => compressor.compress(plain).slice()))).toBe(true);
    expect([calls, compressor.isReused]).toEqual([4, false]);
  });
});
