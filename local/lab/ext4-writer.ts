import { setTimeout as sleep } from "node:timers/promises";
import { addExt4File } from "./ext4.ts";
import { createGate } from "./gate.ts";
import type { Guest } from "./guest.ts";

export interface Ext4WriterOptions {
  readonly guest: Guest;
  /** Index of the file system's disk in the guest. */
  readonly disk: number;
  /** The image in which the file system is changed before its blocks go to the disk. */
  readonly shadowPath: string;
  readonly seed: number;
  readonly intervalMs: number;
  readonly filesMax: number;
}

/**
 * A guest's program that adds numbered files to an ext4 file system, each one journaled and flushed, until it is
 * stopped.
 */
export interface Ext4Writer {
  /** For each file in order, the number of the guest's request that committed it. */
  readonly commits: readonly number[];
  /** Rejects when the writer fails; never resolves before `stop`. */
  readonly done: Promise<void>;
  /** Resolves when the file under way is whole; none follows until `resume`. */
  pause(): Promise<void>;
  resume(): void;
  /** Resolves when the file under way is whole. */
  stop(): Promise<void>;
}

export function startExt4Writer(options: Ext4WriterOptions): Ext4Writer {
  const { guest, disk } = options;
  const commits: number[] = [];
  const stopping = new AbortController();
  const gate = createGate();
  let file: Promise<void> = Promise.resolve();
  const addFile = async (): Promise<void> => {
    for (const { offsetBytes, bytes, flush, commits: isCommit } of await addExt4File(
      options.shadowPath,
      commits.length + 1,
      options.seed,
    )) {
      const number = await guest.submit({ kind: "write", disk, offsetBytes, bytes, durable: flush ? "flush" : "no" });
      if (isCommit) commits.push(number);
    }
  };
  const run = async (): Promise<void> => {
    for (;;) {
      await gate.pass();
      if (stopping.signal.aborted || commits.length >= options.filesMax) break;
      file = addFile();
      await file;
      await sleep(options.intervalMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    await new Promise<void>((resolve) => {
      if (stopping.signal.aborted) resolve();
      else stopping.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  };
  const done = run();
  done.catch(() => undefined);
  return {
    commits,
    done,
    pause: () => {
      gate.close();
      return file;
    },
    resume: () => gate.open(),
    stop: () => {
      stopping.abort();
      gate.open();
      return done;
    },
  };
}
