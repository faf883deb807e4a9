import { setImmediate as nextTurn } from "node:timers/promises";
import { LeewardError } from "../../replication/errors.ts";
import { JOURNAL_RECORD_MAX_BYTES, SECTOR_BYTES } from "../../replication/limits.ts";
import type { DiskDescription } from "../../replication/position.ts";
import type { WriteLog } from "../epochs/write-log.ts";
import { writeZeros } from "../journal/recover.ts";
import type { NbdDisk } from "../nbd/connection.ts";
import type { Image } from "./image.ts";
import type { RangeLock } from "./range-lock.ts";

export interface VolumeOptions {
  readonly disk: DiskDescription;
  /** Its number in the records. */
  readonly index: number;
  readonly image: Image;
  readonly lock: RangeLock;
  readonly log: WriteLog;
  readonly churn: Churn;
}

/** Counters since the start of the service. */
export interface Churn {
  writes: number;
  writtenBytes: number;
  zeroedBytes: number;
  reads: number;
  readBytes: number;
  flushes: number;
}

const EMPTY = Buffer.alloc(0);

/**
 * A disk whose every change goes through the write log first. A request of up to one record is done in one turn of the event loop, so nothing can come
 * between its record and its image; a longer one holds the lock of its range and lets others work between its pieces.
 */
export function createVolume(options: VolumeOptions): NbdDisk {
  return new Volume(options);
}

class Volume implements NbdDisk {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sectorSizeBytes: number;
  readonly #options: VolumeOptions;

  constructor(options: VolumeOptions) {
    this.#options = options;
    this.name = options.disk.id;
    this.sizeBytes = options.disk.sizeBytes;
    this.sectorSizeBytes = options.disk.sectorSizeBytes;
  }

  read(offsetBytes: number, lengthBytes: number): Buffer {
    const { churn, image, log } = this.#options;
    if (log.failure !== undefined) throw log.failure;
    churn.reads += 1;
    churn.readBytes += lengthBytes;
    const data = Buffer.allocUnsafe(lengthBytes);
    image.read(data, offsetBytes);
    return data;
  }

  write(offsetBytes: number, data: Buffer, fua: boolean): Promise<void> | undefined {
    const { churn } = this.#options;
    churn.writes += 1;
    churn.writtenBytes += data.length;
    return this.#perform(offsetBytes, data.length, fua, () => this.#writeSteps(offsetBytes, data));
  }

  zero(offsetBytes: number, lengthBytes: number, fua: boolean): Promise<void> | undefined {
    const { churn } = this.#options;
    churn.writes += 1;
    churn.zeroedBytes += lengthBytes;
    return this.#perform(offsetBytes, lengthBytes, fua, () => this.#zeroSteps(offsetBytes, lengthBytes));
  }

  flush(): Promise<void> {
    this.#options.churn.flushes += 1;
    return this.#options.log.sync();
  }

  /** Runs `steps`, each of which makes one record, under the lock of the range: at once if they are few and the way is free. */
  #perform(offsetBytes: number, lengthBytes: number, fua: boolean, steps: () => Generator<void>): Promise<void> | undefined {
    const { lock, log } = this.#options;
    const startBytes = floor(offsetBytes);
    const endBytes = ceil(offsetBytes + lengthBytes);
    const short = endBytes - startBytes <= JOURNAL_RECORD_MAX_BYTES;
    if (!short || !log.hasRoom || !lock.isFree(startBytes, endBytes)) return this.#performLater(startBytes, endBytes, fua, steps());
    for (const _ of steps());
    return fua ? log.sync() : undefined;
  }

  async #performLater(startBytes: number, endBytes: number, fua: boolean, steps: Generator<void>): Promise<void> {
    const { lock, log } = this.#options;
    const release = await lock.take(startBytes, endBytes);
    try {
      for (;;) {
        while (!log.hasRoom) await log.room();
        if (steps.next().done === true) break;
        await nextTurn();
      }
    } finally {
      release();
    }
    if (fua) await log.sync();
  }

  *#writeSteps(offsetBytes: number, data: Buffer): Generator<void> {
    const { index, image, log } = this.#options;
    const aligned = alignWrite(image, offsetBytes, data);
    for (let at = 0; at < aligned.data.length; at += JOURNAL_RECORD_MAX_BYTES) {
      const piece = aligned.data.subarray(at, at + JOURNAL_RECORD_MAX_BYTES);
      const from = aligned.offsetBytes + at;
      log.append({ kind: "write", disk: index, pass: 0, offsetBytes: from, lengthBytes: piece.length }, piece);
      this.#change(() => image.write(piece, from));
      yield;
    }
  }

  *#zeroSteps(offsetBytes: number, lengthBytes: number): Generator<void> {
    const { index, image, log } = this.#options;
    const end = offsetBytes + lengthBytes;
    const from = Math.min(end, ceil(offsetBytes));
    const to = Math.max(from, floor(end));
    if (offsetBytes < from) yield* this.#writeSteps(offsetBytes, Buffer.alloc(from - offsetBytes));
    for (let at = from; at < to; at += JOURNAL_RECORD_MAX_BYTES) {
      const pieceBytes = Math.min(JOURNAL_RECORD_MAX_BYTES, to - at);
      log.append({ kind: "zero", disk: index, pass: 0, offsetBytes: at, lengthBytes: pieceBytes }, EMPTY);
      this.#change(() => writeZeros(image, at, pieceBytes));
      yield;
    }
    if (to < end) yield* this.#writeSteps(to, Buffer.alloc(end - to));
  }

  #change(change: () => void): void {
    try {
      change();
    } catch (cause) {
      // The record stands and the image lacks it: nothing more may be recorded on top. The next start redoes it.
      const error = new LeewardError("capture-failed", `The image of disk ${this.name} cannot be written.`, { disk: this.name }, { cause });
      this.#options.log.fail(error);
      throw error;
    }
  }
}

const floor = (bytes: number): number => bytes - (bytes % SECTOR_BYTES);
const ceil = (bytes: number): number => floor(bytes + SECTOR_BYTES - 1);

/** Records hold whole sectors: what a write leaves of its first and last sector is read from the image, under the same lock. */
function alignWrite(image: Image, offsetBytes: number, data: Buffer): { readonly offsetBytes: number; readonly data: Buffer } {
  const from = floor(offsetBytes);
  const to = ceil(offsetBytes + data.length);
  if (from === offsetBytes && to - from === data.length) return { offsetBytes, data };
  const whole = Buffer.allocUnsafe(to - from);
  image.read(whole.subarray(0, SECTOR_BYTES), from);
  image.read(whole.subarray(whole.length - SECTOR_BYTES), to - SECTOR_BYTES);
  data.copy(whole, offsetBytes - from);
  return { offsetBytes: from, data: whole };
}
