import { LeewardError } from "../../replication/errors.ts";
import { DISK_MAX_BYTES } from "../../replication/limits.ts";
import type { Files, FileStatus } from "../system/files.ts";
import { readBlockDevice } from "./block-device.ts";

/** A raw disk image or a block device, open for reading and writing. The callers check the ranges. */
export interface Image {
  readonly sizeBytes: number;
  /** Reads from `positionBytes` of the disk and fills the whole of `target`. */
  read(target: Buffer, positionBytes: number): void;
  /** The same without blocking the event loop, for data that may have to come from the medium. */
  readLater(target: Buffer, positionBytes: number): Promise<void>;
  write(bytes: Buffer, positionBytes: number): void;
  /** Syncs everything written before to the medium. */
  sync(): Promise<void>;
  close(): void;
}

/**
 * The guest's I/O is synchronous on purpose: a read or write of the page cache takes microseconds, and a trip through
 * libuv's pool costs more than that (docs/capture.md). Throws `configuration-invalid` when there is no such file, or
 * when a block device is mounted or in use, and `disk-invalid` when its size cannot be a disk's or its block size is
 * not the configured one. Tests pass another `sysfsRoot`.
 */
export function openImage(
  files: Files,
  diskId: string,
  path: string,
  sectorSizeBytes: number,
  sysfsRoot = "/sys",
): Image {
  const file = open(files, diskId, path);
  let sizeBytes: number;
  try {
    sizeBytes = diskSize(diskId, path, sectorSizeBytes, files.statusOf(file), sysfsRoot);
  } catch (error) {
    files.close(file);
    throw error;
  }
  return {
    sizeBytes,
    read: (target, positionBytes) => {
      for (let done = 0; done < target.length;) {
        const count = files.read(file, target, done, target.length - done, positionBytes + done);
        if (count === 0) throw becameShorter(diskId, path);
        done += count;
      }
    },
    readLater: async (target, positionBytes) => {
      for (let done = 0; done < target.length;) {
        const count = await files.readLater(file, target, done, target.length - done, positionBytes + done);
        if (count === 0) throw becameShorter(diskId, path);
        done += count;
      }
    },
    write: (bytes, positionBytes) => {
      for (let done = 0; done < bytes.length;)
        done += files.write(file, bytes, done, bytes.length - done, positionBytes + done);
    },
    sync: () => files.datasyncLater(file),
    close: () => files.close(file),
  };
}

/**
 * The size of a disk is that of its file or device when it is opened; a guest sees growth of a device when the service
 * restarts.
 */
function diskSize(
  diskId: string,
  path: string,
  sectorSizeBytes: number,
  status: FileStatus,
  sysfsRoot: string,
): number {
  const invalid = (problem: string, facts: Readonly<Record<string, number>> = {}): LeewardError =>
    new LeewardError("disk-invalid", `${path} of disk ${diskId} ${problem}.`, { disk: diskId, path, ...facts });
  if (status.kind !== "file" && status.kind !== "block-device") throw invalid("is neither a file nor a block device");
  const device = status.kind === "block-device" ? readBlockDevice(status.deviceNumber, sysfsRoot) : undefined;
  if (device !== undefined && device.logicalBlockBytes !== sectorSizeBytes) {
    // NBD announces this size to the guest, and every recovery point records it (docs/capture.md, N3).
    const { logicalBlockBytes } = device;
    const problem = `has blocks of ${logicalBlockBytes} bytes and the configuration says sectorSizeBytes ${sectorSizeBytes}`;
    throw invalid(problem, { logicalBlockBytes, sectorSizeBytes });
  }
  const sizeBytes = device?.sizeBytes ?? status.lengthBytes;
  if (sizeBytes === 0 || sizeBytes % sectorSizeBytes !== 0 || sizeBytes > DISK_MAX_BYTES) {
    throw invalid(`has ${sizeBytes} bytes, which cannot be a disk with sectors of ${sectorSizeBytes}`, {
      sizeBytes,
      sectorSizeBytes,
    });
  }
  return sizeBytes;
}

function becameShorter(diskId: string, path: string): LeewardError {
  return new LeewardError("capture-failed", `The image ${path} became shorter.`, { disk: diskId, path });
}

function open(files: Files, diskId: string, path: string): number {
  try {
    return files.open(path, files.status(path).kind === "block-device" ? "device" : "r+");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const what =
      reason === "ENOENT"
        ? "does not exist"
        : reason === "EBUSY"
          ? "is mounted or in use"
          : `cannot be opened for writing (${reason})`;
    throw new LeewardError(
      "configuration-invalid",
      `The image ${path} of disk ${diskId} ${what}.`,
      { disk: diskId, path },
      { cause },
    );
  }
}
