import { constants } from "node:fs";
import { copyFile, mkdir, open, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { invariant } from "../../errors.ts";
import { ARM_DISK_CHUNK_BYTES } from "../../limits.ts";

/**
 * Disks and snapshots as sparse raw files in the cloud's folder, named by unique id. A file gets its name only when it
 * is complete, so work interrupted by a kill is simply repeated.
 */
export interface DiskFiles {
  path(uniqueId: string): string;
  /** Undefined when there is none. */
  sizeBytes(uniqueId: string): Promise<number | undefined>;
  /** Leaves an existing file of that name alone. */
  create(uniqueId: string, fill: (file: FileHandle, signal: AbortSignal) => Promise<void>): Promise<void>;
  copy(sourceId: string, targetId: string): Promise<void>;
  /** Makes it longer, never shorter. */
  grow(uniqueId: string, sizeBytes: number): Promise<void>;
  remove(uniqueId: string): Promise<void>;
  /** Makes running work fail, so that a stop need not wait for it. */
  close(): void;
}

export async function openDiskFiles(folder: string): Promise<DiskFiles> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const closing = new AbortController();
  const path = (uniqueId: string): string => {
    // The last line of defence: whatever a record says, no file outside the folder is touched.
    invariant(/^[0-9a-z-]+$/i.test(uniqueId), "a disk file is named by letters, digits and hyphens", { uniqueId });
    return join(folder, `${uniqueId}.img`);
  };
  const sizeBytes = async (uniqueId: string): Promise<number | undefined> => {
    const facts = await stat(path(uniqueId)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    return facts?.size;
  };
  const create: DiskFiles["create"] = async (uniqueId, fill) => {
    if ((await sizeBytes(uniqueId)) !== undefined) return;
    const unfinished = `${path(uniqueId)}.part`;
    const file = await open(unfinished, "w+", 0o600);
    try {
      await fill(file, closing.signal);
    } finally {
      await file.close();
    }
    await rename(unfinished, path(uniqueId));
  };
  return {
    path,
    sizeBytes,
    create,
    copy: async (sourceId, targetId) => {
      if ((await sizeBytes(targetId)) !== undefined) return;
      if (await clone(path(sourceId), path(targetId))) return;
      const source = await open(path(sourceId), "r");
      try {
        await create(targetId, (target, signal) => copySparse(source, target, signal));
      } finally {
        await source.close();
      }
    },
    grow: async (uniqueId, wanted) => {
      const file = await open(path(uniqueId), "r+");
      try {
        if ((await file.stat()).size < wanted) await file.truncate(wanted);
      } finally {
        await file.close();
      }
    },
    remove: async (uniqueId) => {
      for (const name of [path(uniqueId), `${path(uniqueId)}.part`]) await rm(name, { force: true });
    },
    close: () => closing.abort(),
  };
}

/** Shares blocks where the file system supports it, at once and at no cost; else returns false. */
async function clone(source: string, target: string): Promise<boolean> {
  const unfinished = `${target}.part`;
  try {
    await copyFile(source, unfinished, constants.COPYFILE_FICLONE_FORCE);
  } catch {
    await rm(unfinished, { force: true });
    return false;
  }
  await rename(unfinished, target);
  return true;
}

async function copySparse(source: FileHandle, target: FileHandle, signal: AbortSignal): Promise<void> {
  const { size } = await source.stat();
  await target.truncate(size);
  const chunk = Buffer.alloc(ARM_DISK_CHUNK_BYTES);
  const zeros = Buffer.alloc(ARM_DISK_CHUNK_BYTES);
  for (let at = 0; at < size;) {
    signal.throwIfAborted();
    const { bytesRead } = await source.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) throw new Error(`The disk ended at ${at} of ${size} bytes.`);
    const bytes = chunk.subarray(0, bytesRead);
    if (!bytes.equals(zeros.subarray(0, bytesRead))) await writeWhole(target, bytes, at);
    at += bytesRead;
  }
}

export async function writeWhole(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, offsetBytes + done)).bytesWritten;
  }
}
