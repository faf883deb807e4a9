import { closeSync, fdatasync, fstatSync, openSync, read, readSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { LeewardError } from "../../replication/errors.ts";
import { DISK_MAX_BYTES, SECTOR_BYTES } from "../../replication/limits.ts";

/** A raw disk image, open for reading and writing. Ranges are checked by the callers. */
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

/** Throws `configuration-invalid` when there is no such file and `disk-invalid` when its size cannot be a disk. */
export function openImage(diskId: string, path: string): Image {
  const file = open(diskId, path);
  const status = fstatSync(file);
  const sizeBytes = status.size;
  if (!status.isFile() || sizeBytes === 0 || sizeBytes % SECTOR_BYTES !== 0 || sizeBytes > DISK_MAX_BYTES) {
    closeSync(file);
    const problem = status.isFile() ? `has ${sizeBytes} bytes` : "is not a file";
    throw new LeewardError("disk-invalid", `The image ${path} of disk ${diskId} ${problem}.`, { disk: diskId, path, sizeBytes });
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

function becameShorter(diskId: string, path: string): LeewardError {
  return new LeewardError("capture-failed", `The image ${path} became shorter.`, { disk: diskId, path });
}

function open(diskId: string, path: string): number {
  try {
    return openSync(path, "r+");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const what = reason === "ENOENT" ? "does not exist" : `cannot be opened for writing (${reason})`;
    throw new LeewardError("configuration-invalid", `The image ${path} of disk ${diskId} ${what}.`, { disk: diskId, path }, { cause });
  }
}
