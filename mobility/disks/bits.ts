/**
 * Bits in a buffer, the lowest of each byte first; `base` is where bit 0 begins. Pure, except that `changeBits` changes
 * its buffer.
 */

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let left = byte; left > 0; left >>= 1) count += left & 1;
  return count;
});

/** Sets or clears bits `from` to `to` (exclusive); returns how many of them changed. */
export function changeBits(bytes: Buffer, base: number, from: number, to: number, value: boolean): number {
  let changed = 0;
  for (let bit = from; bit < to;) {
    const at = base + (bit >> 3);
    const count = Math.min(8 - (bit & 7), to - bit);
    const mask = ((1 << count) - 1) << (bit & 7);
    const before = bytes[at] ?? 0;
    const after = value ? before | mask : before & ~mask;
    changed += ONES[before ^ after] ?? 0;
    bytes[at] = after;
    bit += count;
  }
  return changed;
}

export function countBits(bytes: Buffer, base: number): number {
  let count = 0;
  for (let at = base; at < bytes.length; at += 1) count += ONES[bytes[at] ?? 0] ?? 0;
  return count;
}

/** The first set bit at or after `from` and before `to`, else `to`. */
export function nextBit(bytes: Buffer, base: number, from: number, to: number): number {
  for (let bit = from; bit < to;) {
    const byte = bytes[base + (bit >> 3)] ?? 0;
    if (byte === 0) bit = (bit | 7) + 1;
    else if ((byte & (1 << (bit & 7))) !== 0) return bit;
    else bit += 1;
  }
  return to;
}
