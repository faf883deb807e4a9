import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Replaces a file as a whole and makes it durable: temporary file, fsync, rename, fsync of the folder. After any crash the old or the new one is there. */
export function replaceFileDurably(path: string, bytes: Uint8Array, mode = 0o600): void {
  writeBeside(path, bytes, mode, true);
  syncFolder(dirname(path));
}

/** Pieces are gathered to writes of this size. */
const GATHER_BYTES = 256 * 1024;

/**
 * Makes a file durably whose content comes piece by piece and which knows its name only in the end: `make` appends to the temporary file and returns the
 * path that it gets. When `make` throws, nothing stays. Memory is one buffer, whatever the length. Returns the MD5 of the content in base64.
 */
export function writeFileDurably(temporaryPath: string, make: (append: (bytes: Uint8Array) => void) => string): string {
  const file = openSync(temporaryPath, "w", 0o600);
  const gathered = Buffer.allocUnsafe(GATHER_BYTES);
  const hash = createHash("md5");
  let filled = 0;
  const write = (bytes: Uint8Array): void => {
    hash.update(bytes);
    writeAll(file, bytes);
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
    fsyncSync(file);
  } catch (error) {
    rmSync(temporaryPath, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(temporaryPath, path);
  syncFolder(dirname(path));
  return hash.digest("base64");
}

/** The same without holding the event loop. Calls for one path must not overlap. */
export async function replaceFileDurablyLater(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Replaces a file as a whole: a reader sees the old or the new one. Not durable: for what the next second writes again. */
export function replaceFile(path: string, bytes: Uint8Array): void {
  writeBeside(path, bytes, 0o644, false);
}

/** Makes the names in the folder durable. */
export function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
}

function writeBeside(path: string, bytes: Uint8Array, mode: number, durable: boolean): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w", mode);
  try {
    writeAll(file, bytes);
    if (durable) fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
