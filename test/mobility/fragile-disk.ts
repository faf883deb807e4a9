import * as real from "node:fs";
import { basename, dirname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Files } from "../../mobility/files.ts";
import { nodeFiles } from "../../mobility/node-files.ts";

const SECTOR = 512;

/**
 * A medium on real files that knows what a power failure leaves: of every file the bytes of its last sync, and of what was written since any sectors or none,
 * as a kernel writes them back. Names that no sync of the folder covered may be missing, and removed files may be back. It can be full for the journal and
 * the spool for as long as the test says, or have a bounded room for both that a removed file gives back; and it can fail to make the journal durable. State
 * file and spool are taken as they stand: they are replaced as a whole and durably.
 */
export interface FragileDisk {
  /** What the service writes on. */
  readonly files: Files;
  isFull: boolean;
  /** What journal and spool may still take: what they write takes from it, and each file of theirs that is removed gives its bytes back. */
  roomBytes: number;
  /** Deltas find no room, whatever else does: they are the largest files. */
  isFullForDeltas: boolean;
  /** The next sync of a journal segment fails. */
  failsJournal: boolean;
  /** So many times the state file cannot be replaced, or (`late`) is replaced and says that it was not. Each change of it is tried twice. */
  stateFailures: { readonly count: number; readonly late: boolean };
  /** What stands in the folder now survives anything. */
  settle(folder: string): void;
  /** The folder as a killed process leaves it. */
  copy(from: string, to: string): void;
  /** The folder as a power failure leaves it; `below` gives whole numbers from 0 to below the given one. */
  crash(from: string, to: string, below: (limit: number) => number): void;
}

/** Files that are written in place or appended to: for them order and sync matter. */
const isWatched = (path: string): boolean => /\.log$|\.img$|\/dirty-map$|\/activity$/.test(path);
const isJournal = (path: string): boolean => path.endsWith(".log");
const isSpool = (path: string): boolean => /\/spool\//.test(path);

const failure = (code: string): Error => Object.assign(new Error(code), { code });

export function createFragileDisk(): FragileDisk {
  const paths = new Map<number, string>();
  /** Content as of the last sync, and whether the name is certain. */
  const durable = new Map<string, Buffer>();
  const named = new Set<string>();
  const removed = new Map<string, Buffer>();

  const content = (path: string): Buffer => (real.existsSync(path) ? real.readFileSync(path) : Buffer.alloc(0));
  const syncedLater = (path: string): (() => void) => {
    if (real.existsSync(path) && real.statSync(path).isDirectory()) {
      const names = real.readdirSync(path).map((name) => join(path, name));
      return () => {
        for (const name of names) named.add(name);
        for (const gone of removed.keys()) if (dirname(gone) === path) removed.delete(gone);
      };
    }
    const bytes = content(path);
    return () => void durable.set(path, bytes);
  };
  const syncLater = async (file: number): Promise<void> => {
    const path = paths.get(file) ?? "";
    if (isJournal(path) && disk.failsJournal) {
      disk.failsJournal = false;
      await nextTurn();
      throw failure("EIO");
    }
    // What is written between the call and its end is not promised.
    const done = syncedLater(path);
    await nextTurn();
    done();
  };
  const take = (bytes: number): boolean => {
    if (disk.isFull || bytes > disk.roomBytes) return false;
    disk.roomBytes -= bytes;
    return true;
  };
  const syncNow = (file: number): void => syncedLater(paths.get(file) ?? "")();
  const inner = nodeFiles();

  const disk: FragileDisk = {
    isFull: false,
    roomBytes: Number.POSITIVE_INFINITY,
    isFullForDeltas: false,
    failsJournal: false,
    stateFailures: { count: 0, late: false },
    settle: (folder) => {
      for (const path of files(folder)) {
        durable.set(path, content(path));
        named.add(path);
      }
    },
    copy: (from, to) => {
      copyFolder(from, to);
      for (const path of files(from)) {
        const target = to + path.slice(from.length);
        const bytes = durable.get(path);
        if (bytes !== undefined) durable.set(target, bytes);
        if (named.has(path)) named.add(target);
      }
      for (const [path, bytes] of removed) if (path.startsWith(`${from}/`)) removed.set(to + path.slice(from.length), bytes);
    },
    crash: (from, to, below) => {
      copyFolder(from, to);
      for (const path of files(from)) {
        if (!isWatched(path)) continue;
        const target = to + path.slice(from.length);
        if (!named.has(path) && below(2) === 0) real.rmSync(target);
        else real.writeFileSync(target, torn(durable.get(path) ?? Buffer.alloc(0), content(path), below));
      }
      for (const [path, bytes] of removed) {
        if (path.startsWith(`${from}/`) && below(2) === 0)
          real.writeFileSync(to + path.slice(from.length), torn(durable.get(path) ?? Buffer.alloc(0), bytes, below));
      }
      disk.settle(to);
    },
    files: {
      ...inner,
      open: (path, flags, mode) => {
        if (disk.isFull && isJournal(path) && flags === "wx") throw failure("ENOSPC");
        const file = inner.open(path, flags, mode);
        paths.set(file, path);
        return file;
      },
      writev: (file, parts, positionBytes) => {
        if (isJournal(paths.get(file) ?? "") && !take(parts.reduce((sum, { byteLength }) => sum + byteLength, 0))) {
          inner.write(file, parts[0] ?? new Uint8Array(), 0, 20, positionBytes);
          throw failure("ENOSPC");
        }
        return inner.writev(file, parts, positionBytes);
      },
      write: (file, bytes, offset, lengthBytes, positionBytes) => {
        if (isSpool(paths.get(file) ?? "") && (disk.isFullForDeltas || !take(lengthBytes))) throw failure("ENOSPC");
        return inner.write(file, bytes, offset, lengthBytes, positionBytes);
      },
      openLater: async (path, flags, mode) => {
        const file = await inner.openLater(path, flags, mode);
        paths.set(file, path);
        return file;
      },
      datasyncLater: syncLater,
      syncLater,
      datasync: syncNow,
      sync: syncNow,
      rename: (from, to) => {
        const bytes = durable.get(from);
        if (bytes !== undefined) durable.set(to, bytes);
        for (const [file, path] of paths) if (path === from) paths.set(file, to);
        inner.rename(from, to);
      },
      renameLater: async (from, to) => {
        const { count, late } = disk.stateFailures;
        const fails = count > 0 && basename(to) === "state.json";
        if (fails) disk.stateFailures = { count: count - 1, late };
        if (!fails || late) inner.rename(from, to);
        await nextTurn();
        if (fails) throw failure("EIO");
      },
      remove: (path) => {
        if ((isJournal(path) || isSpool(path)) && real.existsSync(path)) {
          disk.roomBytes += real.statSync(path).size;
          if (isJournal(path)) removed.set(path, content(path));
        }
        inner.remove(path);
      },
    },
  };
  return disk;
}

const COPY_TRIES = 100;

/** What the process has handed to the pool goes on meanwhile: a file may be renamed or removed under the copy, which then begins again. */
function copyFolder(from: string, to: string): void {
  for (let left = COPY_TRIES; ; left -= 1) {
    try {
      real.cpSync(from, to, { recursive: true });
      return;
    } catch (error) {
      if (left === 0 || !(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      real.rmSync(to, { recursive: true, force: true });
    }
  }
}

function files(folder: string): readonly string[] {
  return real
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !basename(entry.name).startsWith("."))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Some sectors as they were written, the others as they were synced; the file as long as one of both, or between. */
function torn(before: Buffer, after: Buffer, below: (limit: number) => number): Buffer {
  const mood = below(4);
  if (mood === 0) return before;
  if (mood === 1) return after;
  const longest = Math.max(before.length, after.length);
  const length = mood === 2 ? longest : Math.min(before.length, after.length) + below(Math.abs(before.length - after.length) + 1);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += SECTOR) {
    const from = below(2) === 0 ? before : after;
    bytes.set(from.subarray(at, Math.min(length, at + SECTOR)), at);
  }
  return bytes;
}
