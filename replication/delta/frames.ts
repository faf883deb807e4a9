import { hash } from "node:crypto";
import { constants, zstdDecompressSync } from "node:zlib";
import {
  FRAME_MAX_PLAIN_BYTES,
  FRAME_SAMPLED_MIN_BYTES,
  FRAME_SAMPLE_PIECE_BYTES,
  ZLIB_CHUNK_MIN_BYTES,
} from "../limits.ts";
import type { Compressor } from "./compressor.ts";
import { FRAME_CHECKSUM_BYTES, type Codec } from "./layout.ts";

/** Below this share of the plain length zstd is worth the reader's time; anything longer is kept raw. */
const WORTHWHILE_SHARE = 0.95;
/**
 * Log2 of FRAME_MAX_PLAIN_BYTES: no frame needs a longer window, and a hostile one may not make the reader allocate
 * more.
 */
const WINDOW_LOG_MAX = Math.log2(FRAME_MAX_PLAIN_BYTES);

/**
 * How a frame is stored in the file. `raw` bytes are the plain bytes themselves, not a copy; others are valid until the
 * compressor is used again.
 */
export interface StoredFrame {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
}

export function storeFrame(plain: Uint8Array, compressor: Compressor): StoredFrame {
  if (plain.length >= FRAME_SAMPLED_MIN_BYTES && !isWorthwhile(compressor.compress(sampleOf(plain)), SAMPLE_BYTES)) {
    return { codec: "raw", bytes: plain };
  }
  const packed = compressor.compress(plain);
  return isWorthwhile(packed, plain.length) ? { codec: "zstd", bytes: packed } : { codec: "raw", bytes: plain };
}

const SAMPLE_PIECES = 8;
const SAMPLE_BYTES = SAMPLE_PIECES * FRAME_SAMPLE_PIECE_BYTES;

/** Pieces from all over the frame, as far apart as they can be. */
function sampleOf(plain: Uint8Array): Uint8Array {
  const sample = new Uint8Array(SAMPLE_BYTES);
  const stepBytes = Math.floor((plain.length - FRAME_SAMPLE_PIECE_BYTES) / (SAMPLE_PIECES - 1));
  for (let piece = 0; piece < SAMPLE_PIECES; piece += 1) {
    sample.set(
      plain.subarray(piece * stepBytes, piece * stepBytes + FRAME_SAMPLE_PIECE_BYTES),
      piece * FRAME_SAMPLE_PIECE_BYTES,
    );
  }
  return sample;
}

const isWorthwhile = (packed: Uint8Array, plainBytes: number): boolean =>
  packed.length <= plainBytes * WORTHWHILE_SHARE;

/**
 * The plain bytes of a zstd frame; throws an error of node:zlib when it is damaged, is longer than `plainBytes` or asks
 * for a longer window.
 */
export function expandFrame(packed: Uint8Array, plainBytes: number): Uint8Array {
  return zstdDecompressSync(packed, {
    maxOutputLength: plainBytes,
    chunkSize: Math.max(ZLIB_CHUNK_MIN_BYTES, plainBytes),
    params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
  });
}

export function frameChecksum(plain: Uint8Array): Uint8Array {
  return hash("sha256", plain, "buffer").subarray(0, FRAME_CHECKSUM_BYTES);
}
