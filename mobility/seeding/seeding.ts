import { setImmediate as nextTurn } from "node:timers/promises";
import { backOffMs, pause } from "../back-off.ts";
import { SEED_CHUNK_BYTES, SEED_SPOOL_MAX_DELTAS, ZERO_RUN_MIN_BYTES } from "../../replication/limits.ts";
import type { Image } from "../disks/image.ts";
import type { RangeLock } from "../disks/range-lock.ts";
import type { WriteLog } from "../epochs/write-log.ts";
import type { SeedProgress } from "./progress.ts";

/** One pass over all disks that brings what they hold into the write log: initial replication, or reading again after damage. */
export interface Seeding {
  readonly done: boolean;
  readonly doneBytes: number;
  readonly totalBytes: number;
  stop(): Promise<void>;
}

export interface SeedingOptions {
  readonly from: SeedProgress;
  /** The target began as zeros and misses nothing: runs of zeros need not be sent. */
  readonly fresh: boolean;
  /** By disk number. */
  readonly images: readonly Image[];
  readonly locks: readonly RangeLock[];
  readonly log: WriteLog;
  /** Deltas that wait for upload: the pass pauses while there are too many. */
  readonly spooledDeltas: () => number;
  readonly random: () => number;
  readonly failed: (error: unknown) => void;
}

/** How long to look away while the spool is full. */
const SPOOL_PAUSE_MS = 100;
const ZEROS = Buffer.alloc(ZERO_RUN_MIN_BYTES);
const EMPTY = Buffer.alloc(0);

/**
 * Reads chunk by chunk under the lock of the chunk and records what it read in the same log as the guest's writes, so a seed is sequenced against every
 * write of its range and can never undo a newer one. Where it stands follows from the log itself: a pass goes on after any kill.
 */
export function startSeeding(options: SeedingOptions): Seeding {
  const { images, locks, log } = options;
  const { pass } = options.from;
  const totalBytes = images.reduce((sum, image) => sum + image.sizeBytes, 0);
  const stopping = new AbortController();
  let { done, disk, offsetBytes } = options.from;

  const step = async (): Promise<void> => {
    const image = images[disk];
    const lock = locks[disk];
    if (image === undefined || lock === undefined) {
      log.append({ kind: "seed-done", disk: 0, pass, offsetBytes: 0, lengthBytes: 0 }, EMPTY);
      done = true;
      // The delta that ends the pass is the first at which a recovery point may be taken: it does not wait for its age.
      log.cut();
      return;
    }
    if (offsetBytes >= image.sizeBytes) {
      disk += 1;
      offsetBytes = 0;
      return;
    }
    const lengthBytes = Math.min(SEED_CHUNK_BYTES, image.sizeBytes - offsetBytes);
    const release = await lock.take(offsetBytes, offsetBytes + lengthBytes);
    try {
      const chunk = Buffer.allocUnsafe(lengthBytes);
      await image.readLater(chunk, offsetBytes);
      for (const run of runsOf(chunk)) {
        const place = { disk, pass, offsetBytes: offsetBytes + run.from, lengthBytes: run.to - run.from };
        if (!run.zero) log.append({ kind: "seed", ...place }, chunk.subarray(run.from, run.to));
        else if (!options.fresh) log.append({ kind: "seed-zero", ...place }, EMPTY);
      }
      offsetBytes += lengthBytes;
    } finally {
      release();
    }
  };

  const run = async (): Promise<void> => {
    for (let attempt = 0; ;) {
      if (done || stopping.signal.aborted || log.failure !== undefined) return;
      if (options.spooledDeltas() >= SEED_SPOOL_MAX_DELTAS || !log.hasRoom) {
        await pause(SPOOL_PAUSE_MS, stopping.signal);
        continue;
      }
      try {
        await step();
        attempt = 0;
        // Requests that came meanwhile go first.
        await nextTurn();
      } catch (error) {
        // The journal's disk may be full: the pass waits for room as the guest's writes do. Records made so far are repeated, which is harmless.
        options.failed(error);
        await pause(backOffMs(attempt, options.random), stopping.signal);
        attempt += 1;
      }
    }
  };
  const loop = run();

  return {
    get done() {
      return done;
    },
    get doneBytes() {
      return done ? totalBytes : images.slice(0, disk).reduce((sum, image) => sum + image.sizeBytes, 0) + offsetBytes;
    },
    totalBytes,
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}

interface Run {
  readonly zero: boolean;
  readonly from: number;
  readonly to: number;
}

/** The chunk as runs of data and of zeros, in grains of ZERO_RUN_MIN_BYTES. Pure. */
export function runsOf(chunk: Buffer): readonly Run[] {
  const runs: Run[] = [];
  for (let from = 0; from < chunk.length; from += ZERO_RUN_MIN_BYTES) {
    const to = Math.min(chunk.length, from + ZERO_RUN_MIN_BYTES);
    const zero = chunk.subarray(from, to).equals(ZEROS.subarray(0, to - from));
    const last = runs.at(-1);
    if (last !== undefined && last.zero === zero) runs[runs.length - 1] = { ...last, to };
    else runs.push({ zero, from, to });
  }
  return runs;
}
