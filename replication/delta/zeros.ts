import { SECTOR_BYTES, ZERO_GRAIN_BYTES } from "../limits.ts";
import type { ExtentContent } from "./delta.ts";

/**
 * Splits a data extent so that runs of zeros become zero extents: they cost 20 bytes in the file and a Clear Pages
 * instead of a Put Page. A run counts from `minimumRunBytes` on and is found in whole 4 KiB grains of the disk, so that
 * a disk of zeros with a few bytes in it is not split into tiny pieces. Zero extents are returned as they are. The
 * pieces are in order, cover exactly the extent, and share its bytes.
 */
export function* splitZeros(
  extent: ExtentContent,
  minimumRunBytes: number = ZERO_GRAIN_BYTES,
): Generator<ExtentContent> {
  if (extent.kind === "zero") {
    yield extent;
    return;
  }
  const { disk, offsetBytes, bytes } = extent;
  const data = (from: number, to: number): ExtentContent => ({
    kind: "data",
    disk,
    offsetBytes: offsetBytes + from,
    bytes: bytes.subarray(from, to),
  });
  const words = wordsOf(bytes);
  let done = 0;
  let zeroFrom = 0;
  for (let from = 0; from < bytes.length;) {
    // Grains are those of the disk; the first and the last of an extent may be cut off by its ends.
    const to = Math.min(bytes.length, from + ZERO_GRAIN_BYTES - ((offsetBytes + from) % ZERO_GRAIN_BYTES));
    const zero = isZeroGrain(words, bytes, from, to);
    const runEnd = zero ? to : from;
    if ((!zero || to === bytes.length) && runEnd - zeroFrom >= minimumRunBytes) {
      if (zeroFrom > done) yield data(done, zeroFrom);
      yield { kind: "zero", disk, offsetBytes: offsetBytes + zeroFrom, lengthBytes: runEnd - zeroFrom };
      done = runEnd;
    }
    if (!zero) zeroFrom = to;
    from = to;
  }
  if (done < bytes.length) yield data(done, bytes.length);
}

/** Four bytes at a time where the memory allows it: this looks at every byte that the guest writes. */
function wordsOf(bytes: Uint8Array): Uint32Array | undefined {
  if (bytes.byteOffset % 4 !== 0 || bytes.length % SECTOR_BYTES !== 0) return undefined;
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

function isZeroGrain(words: Uint32Array | undefined, bytes: Uint8Array, from: number, to: number): boolean {
  if (words === undefined) {
    for (let index = from; index < to; index += 1) if (bytes[index] !== 0) return false;
    return true;
  }
  for (let index = from / 4; index < to / 4; index += 1) if (words[index] !== 0) return false;
  return true;
}
