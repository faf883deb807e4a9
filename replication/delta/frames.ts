import { hash } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { FRAME_MAX_PLAIN_BYTES } from "../limits.ts";
import { FRAME_CHECKSUM_BYTES } from "./layout.ts";
import type { Codec } from "./layout.ts";

/** Below this share of the plain length zstd is worth the time of the reader; anything longer is kept raw. */
const WORTHWHILE_SHARE = 0.95;
/** Log2 of FRAME_MAX_PLAIN_BYTES: no frame needs a longer window, and a hostile one may not make the reader allocate more. */
const WINDOW_LOG_MAX = Math.log2(FRAME_MAX_PLAIN_BYTES);
/** node:zlib refuses smaller chunks. */
const CHUNK_MIN_BYTES = 64;

/** How a frame stands in the file. `raw` bytes are the plain bytes themselves, not a copy. */
export interface StoredFrame {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
}

export function storeFrame(plain: Uint8Array): StoredFrame {
  const packed = zstdCompressSync(plain, {
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
    // One chunk for the whole frame: with the default of 16 KiB the pieces are joined at the cost of another copy.
    chunkSize: Math.max(CHUNK_MIN_BYTES, plain.length),
  });
  return packed.length <= plain.length * WORTHWHILE_SHARE ? { codec: "zstd", bytes: packed } : { codec: "raw", bytes: plain };
}

/** The plain bytes of a zstd frame; throws an error of node:zlib when it is damaged, is longer than `plainBytes` or asks for a longer window. */
export function expandFrame(packed: Uint8Array, plainBytes: number): Uint8Array {
  return zstdDecompressSync(packed, {
    maxOutputLength: plainBytes,
    chunkSize: Math.max(CHUNK_MIN_BYTES, plainBytes),
    params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
  });
}

export function frameChecksum(plain: Uint8Array): Uint8Array {
  return hash("sha256", plain, "buffer").subarray(0, FRAME_CHECKSUM_BYTES);
}
