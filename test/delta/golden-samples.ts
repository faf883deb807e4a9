import type { DeltaHeader, ExtentContent } from "../../replication/delta/delta.ts";
import type { DiskDescription } from "../../replication/position.ts";
import { data, noise, prose, zero } from "./samples.ts";

const MIB = 1024 * 1024;

export interface GoldenSample {
  readonly header: DeltaHeader;
  readonly extents: readonly ExtentContent[];
}

const DISKS: readonly DiskDescription[] = [
  { id: "data-1", sizeBytes: 64 * MIB, sectorSizeBytes: 4096 },
  { id: "logs", sizeBytes: 4 * MIB + 512, sectorSizeBytes: 512 },
  { id: "os", sizeBytes: 32 * MIB, sectorSizeBytes: 512 },
];
const LATER: DeltaHeader = {
  itemId: "0f8fad5b-d9cb-469f-a165-70867728950e",
  stream: 3,
  epoch: 42,
  firstWriteMs: 1_780_000_000_000,
  lastWriteMs: 1_780_000_004_999,
  start: { stream: 3, epoch: 41, checksum: "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210" },
  disks: DISKS,
  flags: { consistency: "crash", seeding: false, final: false, groupMark: false },
};

/**
 * What the golden files of version 1 were made of. They are never made again: a change here that needs other files is a
 * change of the format.
 */
export const GOLDEN_SAMPLES: Readonly<Record<string, GoldenSample>> = {
  "v1-typical": {
    header: LATER,
    extents: [
      data(0, 0, prose(4096, 1)),
      data(0, 65_536, prose(24_576, 2)),
      zero(0, 1_048_576, 8192),
      data(2, 512, prose(1536, 3)),
    ],
  },
  "v1-zero-only": {
    header: LATER,
    extents: [zero(0, 0, 64 * MIB), zero(1, 512, 512), zero(1, 1024, 512), zero(2, 32 * MIB - 4096, 4096)],
  },
  "v1-empty": {
    header: {
      ...LATER,
      firstWriteMs: 1_780_000_004_999,
      flags: { consistency: "application", seeding: false, final: true, groupMark: true },
    },
    extents: [],
  },
  "v1-seeding": {
    header: {
      ...LATER,
      itemId: "vm-1",
      stream: 1,
      epoch: 1,
      disks: DISKS.slice(2),
      start: { stream: 1, epoch: 0, checksum: "3f47d78f9877db80f650e27ea3b71ef8f37b28c984d7f96cfea447aa92dae421" },
      flags: { consistency: "file-system", seeding: true, final: false, groupMark: false },
    },
    extents: [data(0, 0, prose(65_536, 4)), data(0, 4 * MIB, prose(65_536, 5))],
  },
  "v1-frames": {
    header: LATER,
    extents: [
      data(0, 4096, prose(2 * MIB + 4096, 6)),
      data(1, 0, prose(MIB, 7)),
      data(1, MIB, prose(512, 8)),
      data(2, 512, prose(MIB + 512, 9)),
    ],
  },
  "v1-raw": {
    header: LATER,
    extents: [data(0, 0, noise(4096, 1)), data(1, 4 * MIB, noise(512, 2)), data(2, 1024, prose(8192, 3))],
  },
};
