import type { DeltaFlags, DeltaHeader, ExtentContent } from "../../replication/delta/delta.ts";
import { startPosition, type DiskDescription } from "../../replication/position.ts";

const MIB = 1024 * 1024;
export const NONCE = "0123456789abcdef0123456789abcdef";

export const DISKS: readonly DiskDescription[] = [
  { id: "data-1", sizeBytes: 16 * MIB, sectorSizeBytes: 4096 },
  { id: "os", sizeBytes: 8 * MIB, sectorSizeBytes: 512 },
];
const PLAIN_FLAGS: DeltaFlags = { consistency: "crash", seeding: false, final: false, groupMark: false };

/** The header of the first epoch of a small item, changed where a test needs it. */
export function sampleHeader(changes: Partial<DeltaHeader> = {}): DeltaHeader {
  return {
    itemId: "vm-1",
    stream: 1,
    epoch: 1,
    firstWriteMs: 1_780_000_000_000,
    lastWriteMs: 1_780_000_004_999,
    start: startPosition("vm-1", 1, DISKS, NONCE),
    disks: DISKS,
    flags: PLAIN_FLAGS,
    ...changes,
  };
}

/** Bytes that zstd cannot shorten, the same for the same seed (a multiplicative congruential generator). */
export function noise(lengthBytes: number, seed: number): Uint8Array {
  let state = (seed % 2_147_483_646) + 1;
  return Uint8Array.from({ length: lengthBytes }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state >>> 11) & 0xff;
  });
}

/** Bytes that zstd shortens well. */
export function prose(lengthBytes: number, seed: number): Uint8Array {
  const words = new TextEncoder().encode(`the wind is steady and the sea is calm on watch ${seed}; `);
  return Uint8Array.from({ length: lengthBytes }, (_, index) => words[index % words.length] ?? 0);
}

export const data = (disk: number, offsetBytes: number, bytes: Uint8Array): ExtentContent => ({
  kind: "data",
  disk,
  offsetBytes,
  bytes,
});
export const zero = (disk: number, offsetBytes: number, lengthBytes: number): ExtentContent => ({
  kind: "zero",
  disk,
  offsetBytes,
  lengthBytes,
});
