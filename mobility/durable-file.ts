import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Replaces a file as a whole and makes it durable: temporary file, fsync, rename, fsync of the folder. After any crash the old or the new one is there. */
export function replaceFileDurably(path: string, bytes: Uint8Array, mode = 0o600): void {
  writeBeside(path, bytes, mode, true);
  syncFolder(dirname(path));
}

/** The names in the folder are on the medium. */
export function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
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

function writeBeside(path: string, bytes: Uint8Array, mode: number, durable: boolean): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w", mode);
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
    if (durable) fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
