import type { DirtyMap } from "../disks/dirty-map.ts";
import type { Image } from "../disks/image.ts";
import type { RangeLock } from "../disks/range-lock.ts";
import {
  DIRTY_GRAIN_BYTES,
  SEED_CHUNK_BYTES,
  SEED_LOOK_MS,
  SEED_SPOOL_MAX_DELTAS,
  SPOOL_LOW_SHARE,
  ZERO_RUN_MIN_BYTES,
} from "../limits.ts";
import { backOffMs } from "../system/back-off.ts";
import { pause, type Clock } from "../system/clock.ts";
import type { Pace } from "../system/pace.ts";
import type { Recorder } from "./recorder.ts";
import type { WriteLog } from "./write-log.ts";

/** Passes that copy what the dirty map names into the write log: initial replication, and every resynchronization. */
export interface Seeding {
  /** The end of the pass is recorded. */
  readonly done: boolean;
  readonly doneBytes: number;
  /** What the pass had to read when it began in this process; all disks for initial replication. */
  readonly totalBytes: number;
  /** Estimated from the pace so far; undefined when there is none yet. */
  readonly timeLeftMs: number | undefined;
  /** Reads from the beginning of the map, as pass `pass`. */
  begin(pass: number, fresh: boolean): void;
  /** The end of the pass is in the log: when that segment is removed (now, if there is none) the map is cleared. */
  end(segment: number | undefined): void;
  /** The log ended, or the map gets new marks: nothing read so far counts as copied unless the map says so. */
  interrupt(): void;
  /** The segment's delta is in the spool and the images are on the medium: clears what it carried from the map. */
  removed(segment: number): void;
  stop(): Promise<void>;
}

export interface SeedingOptions {
  readonly map: DirtyMap;
  /** By disk number. */
  readonly images: readonly Image[];
  readonly locks: readonly RangeLock[];
  readonly log: WriteLog;
  readonly recorder: Recorder;
  /** Sealed deltas that wait for upload: a pass pauses while they are many or large. */
  readonly spool: () => { readonly count: number; readonly bytes: number };
  readonly spoolBoundBytes: () => number;
  readonly pace: Pace;
  readonly clock: Clock;
  readonly random: () => number;
  readonly failed: (error: unknown) => void;
}

const ZEROS = Buffer.alloc(ZERO_RUN_MIN_BYTES);
const EMPTY = Buffer.alloc(0);

/** A place in the reading order of a pass: everything before it has been read. */
interface Place {
  readonly disk: number;
  readonly offsetBytes: number;
}

/** Data read up to a place is in the log up to a segment, and nowhere else yet. */
interface Recorded {
  readonly segment: number;
  readonly upTo: Place;
}

/**
 * Reads chunk by chunk under the lock of the chunk and records the data in the same log as the guest's writes, so a
 * seed is sequenced against every write of its range and can never undo a newer one. The progress of a pass follows
 * from the map alone: it continues after any kill.
 */
export function startSeeding(options: SeedingOptions): Seeding {
  return new MapSeeding(options);
}

class MapSeeding implements Seeding {
  readonly #options: SeedingOptions;
  readonly #stopping = new AbortController();
  readonly #loop: Promise<void>;
  /** Undefined while no pass runs. */
  #pass: { readonly number: number; readonly fresh: boolean } | undefined;
  #done = true;
  /** Raised by every beginning and interruption: data read before it is no longer recorded. */
  #generation = 0;
  #at: Place = { disk: 0, offsetBytes: 0 };
  #cleared: Place = { disk: 0, offsetBytes: 0 };
  #recorded: Recorded[] = [];
  #totalBytes = 0;
  /** Bytes of the total done before the pass was begun here, and bytes read since. */
  #beforeBytes = 0;
  #readBytes = 0;
  #begunMs = 0;
  /** Called when work appears or ends. */
  #wake: (() => void) | undefined;

  constructor(options: SeedingOptions) {
    this.#options = options;
    this.#totalBytes = this.#diskBytes;
    this.#loop = this.#run();
  }

  get done(): boolean {
    return this.#done;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  get doneBytes(): number {
    return this.#done ? this.#totalBytes : Math.min(this.#totalBytes, this.#beforeBytes + this.#readBytes);
  }

  get timeLeftMs(): number | undefined {
    const elapsedMs = this.#options.clock.monotonicMs() - this.#begunMs;
    if (this.#done) return 0;
    if (this.#pass === undefined || this.#readBytes === 0) return undefined;
    return Math.round((elapsedMs * (this.#totalBytes - this.doneBytes)) / this.#readBytes);
  }

  begin(number: number, fresh: boolean): void {
    this.interrupt();
    this.#pass = { number, fresh };
    this.#begunMs = this.#options.clock.monotonicMs();
    // Initial replication covers all that the disks hold, however often it was begun.
    if (fresh) this.#totalBytes = this.#diskBytes;
    this.#beforeBytes = fresh ? Math.max(0, this.#diskBytes - this.#options.map.dirtyBytes) : 0;
    this.#wake?.();
  }

  end(segment: number | undefined): void {
    this.interrupt();
    this.#done = true;
    this.#totalBytes = this.#diskBytes;
    this.#at = { disk: this.#options.images.length, offsetBytes: 0 };
    if (segment === undefined) this.#clear(this.#at);
    else this.#remember(segment);
  }

  interrupt(): void {
    this.#generation += 1;
    this.#pass = undefined;
    this.#done = false;
    this.#at = this.#cleared = { disk: 0, offsetBytes: 0 };
    this.#recorded = [];
    this.#beforeBytes = 0;
    this.#readBytes = 0;
    this.#totalBytes = Math.min(this.#diskBytes, this.#options.map.dirtyBytes);
  }

  removed(segment: number): void {
    let upTo: Place | undefined;
    while (this.#recorded[0] !== undefined && this.#recorded[0].segment <= segment) upTo = this.#recorded.shift()?.upTo;
    if (upTo !== undefined) this.#clear(upTo);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#loop;
  }

  get #diskBytes(): number {
    return this.#options.images.reduce((sum, image) => sum + image.sizeBytes, 0);
  }

  async #run(): Promise<void> {
    const { clock, log, recorder, random } = this.#options;
    for (let attempt = 0; !this.#stopping.signal.aborted && recorder.failure === undefined;) {
      if (this.#pass === undefined) {
        await this.#begun();
        continue;
      }
      const roomBytes = this.#roomBytes();
      if (roomBytes === 0 || !log.hasRoom) {
        await pause(clock, SEED_LOOK_MS, this.#stopping.signal);
        continue;
      }
      try {
        await this.#step(this.#pass, roomBytes);
        attempt = 0;
        // Requests that arrived meanwhile go first.
        await clock.turn();
      } catch (error) {
        this.#options.failed(error);
        await pause(clock, backOffMs(attempt, random), this.#stopping.signal);
        attempt += 1;
      }
    }
  }

  /** Resolves when a pass begins or seeding stops. Costs nothing while there is no pass. */
  #begun(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#stopping.signal.aborted) resolve();
    });
  }

  /**
   * How much may be read now, in whole grains; 0 while the pass has to wait. Below the low share of the bound there is
   * always space to seal it.
   */
  #roomBytes(): number {
    const { log, recorder, spool, spoolBoundBytes } = this.#options;
    const { count, bytes } = spool();
    if (recorder.mode.kind !== "logging" || count >= SEED_SPOOL_MAX_DELTAS) return 0;
    const leftBytes = Math.min(SEED_CHUNK_BYTES, spoolBoundBytes() * SPOOL_LOW_SHARE - bytes - log.pendingBytes);
    return Math.max(0, Math.floor(leftBytes / DIRTY_GRAIN_BYTES)) * DIRTY_GRAIN_BYTES;
  }

  async #step(pass: { readonly number: number; readonly fresh: boolean }, roomBytes: number): Promise<void> {
    const { images, locks, map, pace } = this.#options;
    const generation = this.#generation;
    const { disk, offsetBytes: from } = this.#at;
    const image = images[disk];
    const lock = locks[disk];
    if (image === undefined || lock === undefined) return this.#finish(pass.number);
    const range = map.next(disk, from, roomBytes);
    if (range === undefined) {
      this.#at = { disk: disk + 1, offsetBytes: 0 };
      return;
    }
    const { offsetBytes } = range;
    const lengthBytes = Math.min(range.lengthBytes, image.sizeBytes - offsetBytes);
    await pace.take(lengthBytes, this.#stopping.signal);
    const release = await lock.take(offsetBytes, offsetBytes + lengthBytes);
    try {
      const chunk = Buffer.allocUnsafe(lengthBytes);
      await image.readLater(chunk, offsetBytes);
      // Meanwhile the log or the pass may have ended.
      if (this.#stopping.signal.aborted || generation !== this.#generation) return;
      this.#record(disk, offsetBytes, chunk, pass);
    } finally {
      release();
    }
  }

  #record(
    disk: number,
    offsetBytes: number,
    chunk: Buffer,
    pass: { readonly number: number; readonly fresh: boolean },
  ): void {
    const { images, log, recorder } = this.#options;
    const endBytes = offsetBytes + chunk.length;
    // The last grain of a disk may be shorter than the others: a place inside it would be read again and again until
    // its delta is sealed.
    const upTo =
      endBytes < (images[disk]?.sizeBytes ?? 0) ? { disk, offsetBytes: endBytes } : { disk: disk + 1, offsetBytes: 0 };
    let records = 0;
    for (const run of runsOf(chunk)) {
      if (run.zero && pass.fresh) continue;
      const place = { disk, pass: pass.number, offsetBytes: offsetBytes + run.from, lengthBytes: run.to - run.from };
      const recorded = run.zero
        ? recorder.seed({ kind: "seed-zero", ...place }, EMPTY)
        : recorder.seed({ kind: "seed", ...place }, chunk.subarray(run.from, run.to));
      // The log has just ended: the range stays dirty.
      if (!recorded) return;
      records += 1;
    }
    this.#at = upTo;
    this.#readBytes += chunk.length;
    const last = this.#recorded.at(-1);
    if (records > 0) this.#remember(log.openSegment);
    else if (last !== undefined) this.#remember(last.segment);
    // Nothing of the pass is under way: zeros that need not be sent are done.
    else this.#clear(upTo);
  }

  /** Everything read so far is in the log up to this segment. */
  #remember(segment: number): void {
    if (this.#recorded.at(-1)?.segment === segment) this.#recorded.pop();
    this.#recorded.push({ segment, upTo: this.#at });
  }

  #finish(pass: number): void {
    const { log, recorder } = this.#options;
    if (!recorder.seed({ kind: "seed-done", disk: 0, pass, offsetBytes: 0, lengthBytes: 0 }, EMPTY)) return;
    this.#remember(log.openSegment);
    this.#pass = undefined;
    this.#done = true;
    // The delta that ends the pass is the first that allows a recovery point: do not wait for its age.
    log.cut();
  }

  #clear(upTo: Place): void {
    const { images, map } = this.#options;
    for (let disk = this.#cleared.disk; disk <= upTo.disk && disk < images.length; disk += 1) {
      const from = disk === this.#cleared.disk ? this.#cleared.offsetBytes : 0;
      const sizeBytes = images[disk]?.sizeBytes ?? 0;
      const to = disk === upTo.disk ? upTo.offsetBytes : sizeBytes;
      // The last grain of a disk may be shorter than the others.
      map.clear(disk, from, to >= sizeBytes ? Number.MAX_SAFE_INTEGER : to);
    }
    this.#cleared = upTo;
  }
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
