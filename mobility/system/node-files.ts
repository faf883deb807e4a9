import {
  close,
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  readFileSync,
  read,
  readSync,
  rename,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  write,
  writeSync,
  writevSync,
  type BigIntStats,
} from "node:fs";
import { promisify } from "node:util";
import type { Files, FileStatus, OpenFlags } from "./files.ts";

const openPath = promisify(open);
const readBytes = promisify(read);
const writeBytes = promisify(write);

/**
 * The file system of this machine. Calls that the guest waits for (read, write, writev, datasync) are node's own
 * functions, without a wrapper.
 */
export function nodeFiles(): Files {
  return {
    open: (path, flags, mode) => openSync(path, systemFlags(flags), mode),
    close: closeSync,
    read: readSync,
    write: writeSync,
    writev: writevSync,
    truncate: ftruncateSync,
    datasync: fdatasyncSync,
    sync: fsyncSync,
    statusOf: (file) => statusFrom(fstatSync(file, { bigint: true })),

    openLater: (path, flags, mode) => openPath(path, systemFlags(flags), mode),
    closeLater: promisify(close),
    readLater: async (file, target, offset, lengthBytes, positionBytes) =>
      (await readBytes(file, target, offset, lengthBytes, positionBytes)).bytesRead,
    writeLater: async (file, bytes, offset, lengthBytes, positionBytes) =>
      (await writeBytes(file, bytes, offset, lengthBytes, positionBytes)).bytesWritten,
    datasyncLater: promisify(fdatasync),
    syncLater: promisify(fsync),
    renameLater: promisify(rename),

    rename: renameSync,
    remove: (path) => rmSync(path, { force: true }),
    list: (folder) => readdirSync(folder),
    status: (path) => statusFrom(statSync(path, { bigint: true })),
    readFile: (path) => readFileSync(path),
    makeFolder: (path, mode) => void mkdirSync(path, { recursive: true, mode }),
    freeBytes: (path) => {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    },
  };
}

const systemFlags = (flags: OpenFlags): string | number =>
  flags === "device" ? constants.O_RDWR | constants.O_EXCL : flags;

function statusFrom(status: BigIntStats): FileStatus {
  const kind = status.isFile()
    ? "file"
    : status.isDirectory()
      ? "folder"
      : status.isBlockDevice()
        ? "block-device"
        : "other";
  return {
    kind,
    lengthBytes: Number(status.size),
    deviceNumber: Number(status.rdev),
    identity: `${status.dev} ${status.ino}`,
  };
}
