/**
 * `device`: for reading and writing, and exclusive for a block device: refused while it is mounted, or part of a volume
 * group or an array (open(2), O_EXCL).
 */
export type OpenFlags = "r" | "r+" | "w" | "w+" | "wx" | "device";

export interface FileStatus {
  readonly kind: "file" | "folder" | "block-device" | "other";
  readonly lengthBytes: number;
  /** Number of the device that a block device's node represents (`st_rdev`). */
  readonly deviceNumber: number;
  /** Device and inode: a copy under the same path has another identity. */
  readonly identity: string;
}

/**
 * The medium: all of the service's disk access goes through this, so that a model of a disk can replace it. As with
 * node:fs, a failure throws (or rejects with) an `Error` with the system's `code`, and an open file is a number. A
 * write that returned survives the death of the process; only data covered by a later `sync` or `datasync` survives
 * that of the machine. A name (made, renamed, removed) survives it when the folder was opened and synced. Which calls
 * block the event loop is part of the callers' proofs: those named `...Later` do not, and two of them may be done in
 * any order.
 */
export interface Files {
  open(path: string, flags: OpenFlags, mode?: number): number;
  close(file: number): void;
  /** Returns the bytes read: fewer than requested only at the end of the file. */
  read(file: number, target: Uint8Array, offset: number, lengthBytes: number, positionBytes: number): number;
  /** Returns the bytes written: perhaps fewer than given. */
  write(file: number, bytes: Uint8Array, offset: number, lengthBytes: number, positionBytes: number): number;
  writev(file: number, parts: readonly Uint8Array[], positionBytes: number): number;
  truncate(file: number, lengthBytes: number): void;
  /** Syncs the content, and the metadata needed to find it. */
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
  /** Removes a file; succeeds when it does not exist. */
  remove(path: string): void;
  /** The names in the folder, in no particular order. */
  list(folder: string): readonly string[];
  status(path: string): FileStatus;
  readFile(path: string): Buffer;
  /** Makes it with its parents; leaves an existing one as it is. */
  makeFolder(path: string, mode: number): void;
  /** Free bytes that this process may still use on the medium of this path. */
  freeBytes(path: string): number;
}

/** The error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
