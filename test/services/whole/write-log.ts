import { seededRandom } from "../../../local/lab/random.ts";

const SECTOR_BYTES = 512;
const VHD_FOOTER_BYTES = 512;
const MIB = 1024 * 1024;

/** One write of the guest, as the model replays it. Zeroes are bytes like all others here. */
export interface LoggedWrite {
  readonly disk: number;
  readonly offsetBytes: number;
  readonly bytes: Buffer;
}

/**
 * The byte model: what the disks held first, and every write since in its order. It knows nothing of deltas, epochs or
 * page blobs; a restored point is right when its disks together equal the first content with some first part of the
 * writes over it (rule 1).
 */
export class WriteLog {
  readonly #first: readonly Buffer[];
  readonly #writes: LoggedWrite[] = [];

  constructor(first: readonly Buffer[]) {
    this.#first = first;
  }

  get length(): number {
    return this.#writes.length;
  }

  add(write: LoggedWrite): void {
    this.#writes.push(write);
  }

  /** The disks after all writes. */
  disks(): readonly Buffer[] {
    const disks = this.#first.map((disk) => Buffer.from(disk));
    for (const { disk, offsetBytes, bytes } of this.#writes) disks[disk]?.set(bytes, offsetBytes);
    return disks;
  }

  /** Every count of first writes that gives exactly these disks; empty when no prefix does. */
  prefixesOf(found: readonly Buffer[]): readonly number[] {
    const disks = this.#first.map((disk) => Buffer.from(disk));
    if (found.length !== disks.length || found.some((each, index) => each.length !== disks[index]?.length)) return [];
    const differs = disks.map((disk) => new Uint8Array(disk.length / SECTOR_BYTES));
    let differences = 0;
    const compare = (disk: number, offsetBytes: number, lengthBytes: number): void => {
      const [model, other, marks] = [disks[disk], found[disk], differs[disk]];
      if (model === undefined || other === undefined || marks === undefined)
        throw new Error(`the model has no disk ${disk}`);
      for (let at = offsetBytes; at < offsetBytes + lengthBytes; at += SECTOR_BYTES) {
        const now = model.compare(other, at, at + SECTOR_BYTES, at, at + SECTOR_BYTES) === 0 ? 0 : 1;
        differences += now - (marks[at / SECTOR_BYTES] ?? 0);
        marks[at / SECTOR_BYTES] = now;
      }
    };
    disks.forEach((disk, index) => compare(index, 0, disk.length));
    const counts = differences === 0 ? [0] : [];
    for (const [index, { disk, offsetBytes, bytes }] of this.#writes.entries()) {
      disks[disk]?.set(bytes, offsetBytes);
      compare(disk, offsetBytes, bytes.length);
      if (differences === 0) counts.push(index + 1);
    }
    return counts;
  }
}

/** The disk inside a fixed VHD; throws when the file is not the disk, zeros up to a whole MiB, and a footer. */
export function diskOfVhd(vhd: Buffer, sizeBytes: number): Buffer {
  const dataBytes = Math.ceil(sizeBytes / MIB) * MIB;
  if (vhd.length !== dataBytes + VHD_FOOTER_BYTES)
    throw new Error(`the VHD has ${vhd.length} bytes, the disk ${sizeBytes}`);
  if (vhd.toString("latin1", dataBytes, dataBytes + 8) !== "conectix") throw new Error("the VHD has no footer");
  if (vhd.subarray(sizeBytes, dataBytes).some((byte) => byte !== 0))
    throw new Error("behind the end of the disk stands something");
  return vhd.subarray(0, sizeBytes);
}

/**
 * Writes of up to 32 KiB all over the disks, some of zeros; the same seed gives the same writes. Every one differs from
 * all before it.
 */
export function writesOf(seed: number, sizesBytes: readonly number[]): () => LoggedWrite {
  const random = seededRandom(seed, 0x77686f6c);
  let number = 0;
  return () => {
    number += 1;
    const disk = random.below(sizesBytes.length);
    const sectors = (sizesBytes[disk] ?? 0) / SECTOR_BYTES;
    const length = Math.min(1 + random.below(random.below(4) === 0 ? 64 : 8), sectors);
    const bytes = Buffer.alloc(length * SECTOR_BYTES);
    if (random.below(8) !== 0) {
      random.fill(bytes);
      bytes.writeUInt32LE(number, 0);
    }
    return { disk, offsetBytes: random.below(sectors - length + 1) * SECTOR_BYTES, bytes };
  };
}
