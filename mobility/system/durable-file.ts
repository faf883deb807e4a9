import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { FILE_GATHER_BYTES } from "../limits.ts";
import type { Files } from "./files.ts";

/**
 * Replaces a file as a whole and makes it durable: temporary file, fsync, rename, fsync of the folder. After any crash
 * the old or the new one exists.
 */
export function replaceFileDurably(files: Files, path: string, bytes: Uint8Array, mode = 0o600): void {
  writeBeside(files, path, bytes, mode, true);
  syncFolder(files, dirname(path));
}

/**
 * Durably makes a file whose content comes piece by piece and whose name is known only at the end: `make` appends to
 * the temporary file and returns its final path. When `make` throws, nothing remains. Memory is one buffer, whatever
 * the length. Returns the MD5 of the content in base64.
 */
export function writeFileDurably(
  files: Files,
  temporaryPath: string,
  make: (append: (bytes: Uint8Array) => void) => string,
): string {
  const file = files.open(temporaryPath, "w", 0o600);
  const gathered = Buffer.allocUnsafe(FILE_GATHER_BYTES);
  const hash = createHash("md5");
  let filled = 0;
  let writtenBytes = 0;
  const write = (bytes: Uint8Array): void => {
    hash.update(bytes);
    writeAll(files, file, bytes, writtenBytes);
    writtenBytes += bytes.length;
  };
  const flush = (): void => {
    write(gathered.subarray(0, filled));
    filled = 0;
  };
  let path: string;
  try {
    path = make((bytes) => {
      if (filled + bytes.length > gathered.length) flush();
      if (bytes.length > gathered.length) write(bytes);
      else {
        gathered.set(bytes, filled);
        filled += bytes.length;
      }
    });
    flush();
    files.sync(file);
  } catch (error) {
    files.remove(temporaryPath);
    throw error;
  } finally {
    files.close(file);
  }
  files.rename(temporaryPath, path);
  syncFolder(files, dirname(path));
  return hash.digest("base64");
}

/** The same without blocking the event loop. Calls for one path must not overlap. */
export async function replaceFileDurablyLater(files: Files, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await files.openLater(temporary, "w", 0o600);
  try {
    for (let done = 0; done < bytes.length;)
      done += await files.writeLater(file, bytes, done, bytes.length - done, done);
    await files.syncLater(file);
  } finally {
    await files.closeLater(file);
  }
  await files.renameLater(temporary, path);
  const folder = await files.openLater(dirname(path), "r");
  try {
    await files.syncLater(folder);
  } finally {
    await files.closeLater(folder);
  }
}

/**
 * Replaces a file as a whole: a reader sees the old or the new one. Not durable: for files that are rewritten every
 * second.
 */
export function replaceFile(files: Files, path: string, bytes: Uint8Array): void {
  writeBeside(files, path, bytes, 0o644, false);
}

/**
 * Makes a folder and its parents durable, so that a power failure cannot remove them with their content: the process
 * that made them may have died before syncing them. Throws the medium's errors.
 */
export function makeFolderDurably(files: Files, path: string, mode: number): void {
  files.makeFolder(path, mode);
  for (let above = dirname(path); ; above = dirname(above)) {
    try {
      syncFolder(files, above);
    } catch (error) {
      // This service cannot have made a folder that it may not read.
      if (!isForbidden(error)) throw error;
    }
    if (above === dirname(above)) return;
  }
}

const isForbidden = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EPERM");

/** Makes the names in the folder durable. */
export function syncFolder(files: Files, path: string): void {
  const folder = files.open(path, "r");
  try {
    files.sync(folder);
  } finally {
    files.close(folder);
  }
}

/** Writes all of the bytes, from this position on. */
export function writeAll(files: Files, file: number, bytes: Uint8Array, positionBytes: number): void {
  for (let done = 0; done < bytes.length;)
    done += files.write(file, bytes, done, bytes.length - done, positionBytes + done);
}

function writeBeside(files: Files, path: string, bytes: Uint8Array, mode: number, durable: boolean): void {
  const temporary = `${path}.tmp`;
  const file = files.open(temporary, "w", mode);
  try {
    writeAll(files, file, bytes, 0);
    if (durable) files.sync(file);
  } finally {
    files.close(file);
  }
  files.rename(temporary, path);
}
