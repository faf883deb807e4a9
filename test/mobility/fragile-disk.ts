import type * as FileSystem from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Files } from "../../mobility/files.ts";
import { nodeFiles } from "../../mobility/node-files.ts";

/** The real one, whatever a test has put in its place. */
const real = process.getBuiltinModule("node:fs");
const SECTOR = 512;

/**
 * A disk below `node:fs` that knows what a power failure leaves: of every file the bytes of its last sync, and of what was written since any sectors or none,
 * as a kernel writes them back. Names that no sync of the folder covered may be missing, and removed files may be back. It can be full for the journal and
 * the spool for as long as the test says, or have a bounded room for both that a removed file gives back; and it can fail to make the journal durable. State
 * file and spool are taken as they stand: they are replaced as a whole and durably.
 */
export interface FragileDisk {
  /** Takes the place of `node:fs`. */
  readonly overrides: Partial<typeof FileSystem>;
  /** What the service writes on: knows of the faults of the state file too. */
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
  const sync = (file: number, callback: (error: Error | null) => void): void => {
    const path = paths.get(file) ?? "";
    if (isJournal(path) && disk.failsJournal) {
      disk.failsJournal = false;
      setImmediate(() => callback(failure("EIO")));
      return;
    }
    // What is written between the call and its end is not promised.
    const done = syncedLater(path);
    setImmediate(() => {
      done();
      callback(null);
    });
  };
  const take = (bytes: number): boolean => {
    if (disk.isFull || bytes > disk.roomBytes) return false;
    disk.roomBytes -= bytes;
    return true;
  };
  const syncSync = (file: number): void => syncedLater(paths.get(file) ?? "")();

  const disk: FragileDisk = {
    isFull: false,
    roomBytes: Number.POSITIVE_INFINITY,
    isFullForDeltas: false,
    failsJournal: false,
    stateFailures: { count: 0, late: false },
    files: {
      ...nodeFiles(),
      renameLater: async (from, to) => {
        const { count, late } = disk.stateFailures;
        const fails = count > 0 && basename(to) === "state.json";
        if (fails) disk.stateFailures = { count: count - 1, late };
        if (!fails || late) real.renameSync(from, to);
        await new Promise((resolve) => setImmediate(resolve));
        if (fails) throw failure("EIO");
      },
    },
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
    overrides: {
      openSync: (path, flags, mode) => {
        if (disk.isFull && isJournal(String(path)) && flags === "wx") throw failure("ENOSPC");
        const file = real.openSync(path, flags, mode);
        paths.set(file, String(path));
        return file;
      },
      writevSync: (file, buffers, position) => {
        if (isJournal(paths.get(file) ?? "") && !take(buffers.reduce((sum, { byteLength }) => sum + byteLength, 0))) {
          const first = Buffer.from(buffers[0]?.buffer ?? new ArrayBuffer(0), buffers[0]?.byteOffset, 20);
          real.writeSync(file, first, 0, first.length, position ?? 0);
          throw failure("ENOSPC");
        }
        return real.writevSync(file, buffers, position);
      },
      writeSync: ((file: number, buffer: Buffer, offset?: number, length?: number, position?: number) => {
        if (isSpool(paths.get(file) ?? "") && (disk.isFullForDeltas || !take(length ?? buffer.length))) throw failure("ENOSPC");
        return real.writeSync(file, buffer, offset, length, position);
      }) as typeof FileSystem.writeSync,
      fdatasync: sync as typeof FileSystem.fdatasync,
      fsync: sync as typeof FileSystem.fsync,
      fdatasyncSync: syncSync,
      fsyncSync: syncSync,
      renameSync: (from, to) => {
        const bytes = durable.get(String(from));
        if (bytes !== undefined) durable.set(String(to), bytes);
        for (const [file, path] of paths) if (path === from) paths.set(file, String(to));
        real.renameSync(from, to);
      },
      rmSync: (path, options) => {
        const taken = (isJournal(String(path)) || isSpool(String(path))) && real.existsSync(path) ? real.statSync(path).size : 0;
        if (isJournal(String(path)) && real.existsSync(path)) removed.set(String(path), content(String(path)));
        disk.roomBytes += taken;
        real.rmSync(path, options);
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
