import type { Consistency, ExtentContent } from "../../replication/delta/delta.ts";
import { SECTOR_BYTES } from "../../replication/limits.ts";
import type { Random } from "../memory/random.ts";
import type { EpochPlan } from "./small-world.ts";

const EPOCHS = 8;

/**
 * Eight epochs of random writes and zeros over small disks, seeding first in some; no two epochs leave the same content
 * in a written sector.
 */
export function randomEpochs(random: Random, disks: number, sectors: number): readonly EpochPlan[] {
  const seedingEpochs = random.chance(0.4) ? 1 + random.below(3) : 0;
  const hasFinal = random.chance(0.1);
  return Array.from({ length: EPOCHS }, (_, index) => {
    const epoch = index + 1;
    const consistency: Consistency = random.pick([
      "crash",
      "crash",
      "crash",
      "crash",
      "crash",
      "application",
      "file-system",
    ]);
    return {
      extents: randomExtents(random, disks, sectors, epoch),
      flags: {
        consistency: epoch <= seedingEpochs ? "crash" : consistency,
        seeding: epoch <= seedingEpochs,
        final: hasFinal && epoch === EPOCHS,
        groupMark: random.chance(0.05),
      },
    };
  });
}

/** Sorted runs with gaps between some of them, each zero or data that says where and when it was written. */
export function randomExtents(random: Random, disks: number, sectors: number, epoch: number): readonly ExtentContent[] {
  const density = random.pick([0.2, 0.5, 0.9]);
  const extents: ExtentContent[] = [];
  for (let disk = 0; disk < disks; disk += 1) {
    let sector = 0;
    while (sector < sectors) {
      const length = 1 + random.below(Math.min(4, sectors - sector));
      if (random.chance(density)) {
        const offsetBytes = sector * SECTOR_BYTES;
        const lengthBytes = length * SECTOR_BYTES;
        extents.push(
          random.chance(0.25)
            ? { kind: "zero", disk, offsetBytes, lengthBytes }
            : { kind: "data", disk, offsetBytes, bytes: content(epoch, sector, length) },
        );
      }
      sector += length;
    }
  }
  return extents;
}

/** Sectors that tell their epoch from every other one. */
function content(epoch: number, sector: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length * SECTOR_BYTES).fill(epoch);
  for (let index = 0; index < length; index += 1) bytes[index * SECTOR_BYTES] = 1 + ((sector + index) % 250);
  return bytes;
}
