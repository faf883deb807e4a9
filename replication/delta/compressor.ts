import { constants, zstdCompressSync } from "node:zlib";
import { ZLIB_CHUNK_MIN_BYTES } from "../limits.ts";

/** Makes frames of zstd level 1, each on its own. */
export interface Compressor {
  /** At most FRAME_MAX_PLAIN_BYTES; the result is good until the next call. */
  compress(plain: Uint8Array): Uint8Array;
}

export const ZSTD_OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/**
 * Makes every frame with a fresh compressor. One chunk holds the whole frame: the default of 16 KiB would need another
 * copy to join the pieces.
 */
export const freshCompressor: Compressor = {
  compress: (plain) =>
    zstdCompressSync(plain, { ...ZSTD_OPTIONS, chunkSize: Math.max(ZLIB_CHUNK_MIN_BYTES, plain.length) }),
};
