/** A reproducible source of randomness: the same seed gives the same numbers on every machine. Not for secrets. */
export interface Random {
  /** At least 0, below 1. */
  next(): number;
  /** A whole number of at least 0 and below `limit`. */
  below(limit: number): number;
  /** Fills the bytes. */
  fill(bytes: Uint8Array): void;
}

/** The generator sfc32 (Doty-Humphrey, PractRand), seeded by hashing each part of the seed into its state. */
export function seededRandom(...seed: readonly number[]): Random {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = 0xb7e15162;
  let counter = 1;
  const step = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (const part of seed) {
    a ^= part | 0;
    b ^= Math.floor(part / 0x1_0000_0000) | 0;
    // Twelve steps mix a state of three words well enough that neighbouring seeds have nothing in common.
    for (let round = 0; round < 12; round++) step();
  }
  const next = (): number => step() / 0x1_0000_0000;
  return {
    next,
    below: (limit) => Math.floor(next() * limit),
    fill: (bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      let at = 0;
      for (; at + 4 <= bytes.length; at += 4) view.setUint32(at, step(), true);
      for (; at < bytes.length; at++) bytes[at] = step() & 0xff;
    },
  };
}
