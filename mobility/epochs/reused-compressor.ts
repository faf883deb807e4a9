import { constants, createZstdCompress, zstdDecompressSync } from "node:zlib";
import { type Compressor, ZSTD_OPTIONS, freshCompressor } from "../../replication/delta/compressor.ts";
import { FRAME_MAX_PLAIN_BYTES } from "../../replication/limits.ts";

/** One compressor for all frames, where this version of Node allows reuse. */
export interface ReusedCompressor extends Compressor {
  /** False: every frame leaves about three times its length to the garbage collector, most of it not counted by V8. */
  readonly isReused: boolean;
}

/**
 * The longest zstd output for an incompressible frame (ZSTD_COMPRESSBOUND in zstd.h): with this much space it writes a
 * frame in one go.
 */
const OUTPUT_BYTES = FRAME_MAX_PLAIN_BYTES + FRAME_MAX_PLAIN_BYTES / 256;

/**
 * `zstdCompressSync` makes a new compressor for every call, which is half the cost of sealing small frames and nearly
 * all of the garbage (measured, of the processor time of a delta: 47 to 59 % with frames of 4 KiB, 35 % of 16 KiB, 15 %
 * of 64 KiB, 5 % of 1 MiB). A stream keeps its compressor, but its own interface goes through libuv's pool twice for
 * each frame. So the stream's binding is called as node:zlib calls it. That binding is not documented (npm's own
 * minizlib relies on it too): where it is not as expected, or fails once, the documented call does the work.
 */
export function createReusedCompressor(
  makeStream: () => object = () => createZstdCompress(ZSTD_OPTIONS).on("error", () => undefined),
): ReusedCompressor {
  let reused = reusedCompressor(makeStream());
  return {
    compress: (plain) => {
      const packed = reused?.(plain);
      if (packed !== undefined) return packed;
      // A failed compressor may be in the middle of a frame.
      reused = undefined;
      return freshCompressor.compress(plain);
    },
    get isReused() {
      return reused !== undefined;
    },
  };
}

/** Compresses one frame; returns undefined when it cannot. */
type CompressFrame = (plain: Uint8Array) => Uint8Array | undefined;

function reusedCompressor(stream: object): CompressFrame | undefined {
  const binding: unknown = Reflect.get(stream, "_handle");
  const state: unknown = Reflect.get(stream, "_writeState");
  if (!isBinding(binding) || !(state instanceof Uint32Array)) return undefined;
  const output = new Uint8Array(OUTPUT_BYTES);
  const compress: CompressFrame = (plain) => {
    // An error leaves the state unchanged: the previous frame's state must not pass for this one's.
    state.set([0, plain.length]);
    binding.writeSync(constants.ZSTD_e_end, plain, 0, plain.length, output, 0, output.length);
    const [outputLeft = 0, inputLeft = 1] = state;
    return inputLeft > 0 || outputLeft === 0 || outputLeft === output.length
      ? undefined
      : output.subarray(0, output.length - outputLeft);
  };
  return isTrusted(compress) ? compress : undefined;
}

interface Binding {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputBytes: number,
    output: Uint8Array,
    outputAt: number,
    room: number,
  ): void;
}

const isBinding = (value: unknown): value is Binding =>
  typeof value === "object" && value !== null && typeof Reflect.get(value, "writeSync") === "function";

/** Checks that two frames in a row decode to their input. */
function isTrusted(compress: CompressFrame): boolean {
  try {
    return ["one frame, one frame", "and another one"].every((text) => {
      const plain = new TextEncoder().encode(text);
      const packed = compress(plain);
      return packed !== undefined && zstdDecompressSync(packed).equals(plain);
    });
  } catch {
    return false;
  }
}
