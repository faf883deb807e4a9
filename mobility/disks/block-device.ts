import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";

export interface BlockDevice {
  readonly sizeBytes: number;
  /** The smallest unit that the device reads and writes. */
  readonly logicalBlockBytes: number;
}

/**
 * The kernel counts the size of every device in these units, whatever the device's block size
 * (Documentation/ABI/stable/sysfs-block).
 */
const SYSFS_SECTOR_BYTES = 512;

/**
 * Reads what Linux says about a block device by its number (`rdev` of its node). `stat` gives a block device no size,
 * Node has neither ioctl (BLKGETSIZE64) nor a seek to the end, and /sys/dev/block works for every name of the device,
 * as in /dev/disk/by-id. Throws `disk-invalid`.
 */
export function readBlockDevice(rdev: number, sysfsRoot: string): BlockDevice {
  const folder = join(sysfsRoot, "dev/block", deviceNumber(rdev));
  const sectors = numberIn(join(folder, "size"));
  // A partition has no queue of its own: it lies one folder below its disk.
  const logicalBlockBytes =
    numberIn(join(folder, "queue/logical_block_size")) ?? numberIn(`${folder}/../queue/logical_block_size`);
  if (sectors === undefined || logicalBlockBytes === undefined) {
    throw new LeewardError("disk-invalid", `${folder} does not tell the size and block size of the device.`, {
      folder,
    });
  }
  return { sizeBytes: sectors * SYSFS_SECTOR_BYTES, logicalBlockBytes };
}

/** "major:minor". The bits are mixed as glibc's makedev(3) does it. */
function deviceNumber(rdev: number): string {
  const [low, high] = [rdev % 2 ** 32, Math.floor(rdev / 2 ** 32)];
  const major = ((low >>> 8) & 0xfff) + (high & ~0xfff);
  const minor = (low & 0xff) + (low >>> 20) * 2 ** 8 + (high & 0xfff) * 2 ** 20;
  return `${major}:${minor}`;
}

function numberIn(path: string): number | undefined {
  try {
    const text = readFileSync(path, "latin1").trim();
    return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}
