import { closeSync, constants, fdatasync, fstatSync, openSync, read, readSync, statSync, writeSync } from "node:fs";
import type { Stats } from "node:fs";
import { promisify } from "node:util";
import { LeewardError } from "../../replication/errors.ts";
import { DISK_MAX_BYTES } from "../../replication/limits.ts";
import { readBlockDevice } from "./block-device.ts";

/** A raw disk image or a block device, open for reading and writing. Ranges are checked by the callers. */
export interface Image {
  readonly sizeBytes: number;
  /** `position` on the disk; the whole of `target` is filled. */
  read(target: Buffer, positionBytes: number): void;
  /** The same without holding the event loop, for what may have to come from the medium. */
  readLater(target: Buffer, positionBytes: number): Promise<void>;
  write(bytes: Buffer, positionBytes: number): void;
  /** Everything written before is on the medium. */
  sync(): Promise<void>;
  close(): void;
}

const syncFile = promisify(fdatasync);
const readFile = promisify(read);

/**
 * I/O of the guest is synchronous on purpose: a read or write of the page cache takes microseconds, and a trip through libuv's pool costs more than that
 * (docs/capture.md). Throws `configuration-invalid` when there is no such file, or when a block device is mounted or held by somebody else, and
 * `disk-invalid` when its size cannot be a disk or its block size is not the configured one. `sysfsRoot` is another one in tests.
 */
export function openImage(diskId: string, path: string, sectorSizeBytes: number, sysfsRoot = "/sys"): Image {
  const file = open(diskId, path);
  let sizeBytes: number;
  try {
    sizeBytes = diskSize(diskId, path, sectorSizeBytes, fstatSync(file), sysfsRoot);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  return {
    sizeBytes,
    read: (target, positionBytes) => {
      for (let done = 0; done < target.length;) {
        const count = readSync(file, target, done, target.length - done, positionBytes + done);
        if (count === 0) throw becameShorter(diskId, path);
        done += count;
      }
    },
    readLater: async (target, positionBytes) => {
      for (let done = 0; done < target.length;) {
        const { bytesRead } = await readFile(file, target, done, target.length - done, positionBytes + done);
        if (bytesRead === 0) throw becameShorter(diskId, path);
        done += bytesRead;
      }
    },
    write: (bytes, positionBytes) => {
      for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, positionBytes + done);
    },
    sync: () => syncFile(file),
    close: () => closeSync(file),
  };
}

/** The size of a disk is that of its file or device when it is opened; a guest sees a device that grows when the service starts again. */
function diskSize(diskId: string, path: string, sectorSizeBytes: number, status: Stats, sysfsRoot: string): number {
  const invalid = (problem: string, facts: Readonly<Record<string, number>> = {}): LeewardError =>
    new LeewardError("disk-invalid", `${path} of disk ${diskId} ${problem}.`, { disk: diskId, path, ...facts });
  if (!status.isFile() && !status.isBlockDevice()) throw invalid("is neither a file nor a block device");
  const device = status.isBlockDevice() ? readBlockDevice(status.rdev, sysfsRoot) : undefined;
  if (device !== undefined && device.logicalBlockBytes !== sectorSizeBytes) {
    // A mirror whose legs have different blocks breaks the file system on it: ext4 with 1 KiB blocks aborts on a leg of 4096 (docs/capture.md).
    const { logicalBlockBytes } = device;
    const problem = `has blocks of ${logicalBlockBytes} bytes and the configuration says sectorSizeBytes ${sectorSizeBytes}`;
    throw invalid(problem, { logicalBlockBytes, sectorSizeBytes });
  }
  const sizeBytes = device?.sizeBytes ?? status.size;
  if (sizeBytes === 0 || sizeBytes % sectorSizeBytes !== 0 || sizeBytes > DISK_MAX_BYTES) {
    throw invalid(`has ${sizeBytes} bytes, which cannot be a disk with sectors of ${sectorSizeBytes}`, { sizeBytes, sectorSizeBytes });
  }
  return sizeBytes;
}

function becameShorter(diskId: string, path: string): LeewardError {
  return new LeewardError("capture-failed", `The image ${path} became shorter.`, { disk: diskId, path });
}

function open(diskId: string, path: string): number {
  try {
    // O_EXCL on a block device asks for it alone: Linux refuses while it is mounted, or part of a volume group or an array (open(2)).
    const device = statSync(path).isBlockDevice();
    return openSync(path, device ? constants.O_RDWR | constants.O_EXCL : constants.O_RDWR);
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const what =
      reason === "ENOENT" ? "does not exist" : reason === "EBUSY" ? "is mounted or in use" : `cannot be opened for writing (${reason})`;
    throw new LeewardError("configuration-invalid", `The image ${path} of disk ${diskId} ${what}.`, { disk: diskId, path }, { cause });
  }
}
