/**
 * `device`: for reading and writing, and of a block device alone: refused while it is mounted, or part of a volume
 * group or an array (open(2), O_EXCL).
 */
export type OpenFlags = "r" | "r+" | "w" | "w+" | "wx" | "device";

export interface FileStatus {
  readonly kind: "file" | "folder" | "block-device" | "other";
  readonly lengthBytes: number;
  /** Of the device that the node of a block device stands for (`st_rdev`). */
  readonly deviceNumber: number;
  /** Device and inode: a copy under the same path has another one. */
  readonly identity: string;
}

/**
 * The medium: all that the service keeps on a disk goes through this, so that a model of a disk can take its place. As
 * with node:fs a failure throws (or rejects with) an `Error` whose `code` is that of the system, and an open file is a
 * number. A write that returned survives the death of the process; only what a later `sync` or `datasync` covered
 * survives that of the machine. A name (made, renamed, removed) survives it when the folder was opened and synced.
 * Which calls hold the event loop is part of the callers' proofs: those called `...Later` do not, and two of them may
 * be done in any order.
 */
export interface Files {
  open(path: string, flags: OpenFlags, mode?: number): number;
  close(file: number): void;
  /** How many bytes came: fewer than asked for only at the end of the file. */
  read(file: number, target: Uint8Array, offset: number, lengthBytes: number, positionBytes: number): number;
  /** How many bytes went: perhaps fewer than given. */
  write(file: number, bytes: Uint8Array, offset: number, lengthBytes: number, positionBytes: number): number;
  writev(file: number, parts: readonly Uint8Array[], positionBytes: number): number;
  truncate(file: number, lengthBytes: number): void;
  /** The content, and what is needed to find it. */
  datasync(file: number): void;
  sync(file: number): void;
  statusOf(file: number): FileStatus;

  openLater(path: string, flags: OpenFlags, mode?: number): Promise<number>;
  closeLater(file: number): Promise<void>;
  readLater(
    file: number,
    target: Uint8Array,
    offset: number,
    lengthBytes: number,
    positionBytes: number,
  ): Promise<number>;
  writeLater(
    file: number,
    bytes: Uint8Array,
    offset: number,
    lengthBytes: number,
    positionBytes: number,
  ): Promise<number>;
  datasyncLater(file: number): Promise<void>;
  syncLater(file: number): Promise<void>;
  renameLater(from: string, to: string): Promise<void>;

  rename(from: string, to: string): void;
  /** A file, or nothing: removing what is not there succeeds. */
  remove(path: string): void;
  /** The names in the folder, in no certain order. */
  list(folder: string): readonly string[];
  status(path: string): FileStatus;
  readFile(path: string): Buffer;
  /** With the folders above it; one that is there is left as it is. */
  makeFolder(path: string, mode: number): void;
  /** What the medium below this path still takes from this process. */
  freeBytes(path: string): number;
}

/** The error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
