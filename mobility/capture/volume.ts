import { LeewardError } from "../../replication/errors.ts";
import { SECTOR_BYTES } from "../../replication/limits.ts";
import type { DiskDescription } from "../../replication/position.ts";
import type { Image } from "../disks/image.ts";
import type { RangeLock } from "../disks/range-lock.ts";
import { JOURNAL_RECORD_MAX_BYTES } from "../limits.ts";
import type { NbdDisk } from "../nbd/connection.ts";
import type { Clock } from "../system/clock.ts";
import type { RangeRecord, Recorder } from "./recorder.ts";
import { writeZeros } from "./recover.ts";

export interface VolumeOptions {
  readonly disk: DiskDescription;
  /** Its number in the records. */
  readonly index: number;
  readonly image: Image;
  readonly lock: RangeLock;
  readonly recorder: Recorder;
  readonly churn: Churn;
  readonly clock: Pick<Clock, "turn">;
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

/** Why the next step of a request waits: its record cannot be made yet, or other requests get their turn. */
type Wait = { readonly kind: "record"; readonly record: RangeRecord } | { readonly kind: "turn" };
type Steps = Generator<Wait, void, undefined>;

/**
 * A disk whose every change is recorded first. A request of up to one record is done in one turn of the event loop, so
 * nothing can come between its record and its image; a longer one, or one that has to wait, holds the lock of its range
 * and lets other requests run between its pieces.
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
    const { churn, image, recorder } = this.#options;
    if (recorder.failure !== undefined) throw recorder.failure;
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
    const isOneRecord =
      data.length <= JOURNAL_RECORD_MAX_BYTES && offsetBytes % SECTOR_BYTES === 0 && data.length % SECTOR_BYTES === 0;
    if (isOneRecord) return this.#writeRecord(offsetBytes, data, fua);
    return this.#perform(offsetBytes, data.length, fua, () => this.#writeSteps(offsetBytes, data));
  }

  /** The common case of a guest's write: done at once, without the steps that longer ones need. */
  #writeRecord(offsetBytes: number, data: Buffer, fua: boolean): Promise<void> | undefined {
    const { image, index, lock, recorder } = this.#options;
    const endBytes = offsetBytes + data.length;
    const record: RangeRecord = { kind: "write", disk: index, pass: 0, offsetBytes, lengthBytes: data.length };
    const isFree = lock.isFree(offsetBytes, endBytes);
    if (!isFree || !recorder.record(record, data)) {
      const first: Wait | undefined = isFree ? { kind: "record", record } : undefined;
      return this.#performLater(offsetBytes, endBytes, fua, this.#writeSteps(offsetBytes, data), first);
    }
    this.#change(() => image.write(data, offsetBytes));
    return fua ? recorder.sync(index) : undefined;
  }

  zero(offsetBytes: number, lengthBytes: number, fua: boolean): Promise<void> | undefined {
    const { churn } = this.#options;
    churn.writes += 1;
    churn.zeroedBytes += lengthBytes;
    return this.#perform(offsetBytes, lengthBytes, fua, () => this.#zeroSteps(offsetBytes, lengthBytes));
  }

  flush(): Promise<void> {
    this.#options.churn.flushes += 1;
    return this.#options.recorder.sync(this.#options.index);
  }

  /** Runs the steps under the lock of the range: at once if they are few, the range is free and no wait is needed. */
  #perform(offsetBytes: number, lengthBytes: number, fua: boolean, begin: () => Steps): Promise<void> | undefined {
    const { index, lock, recorder } = this.#options;
    const startBytes = floor(offsetBytes);
    const endBytes = ceil(offsetBytes + lengthBytes);
    const short = endBytes - startBytes <= JOURNAL_RECORD_MAX_BYTES;
    if (!short || !lock.isFree(startBytes, endBytes)) return this.#performLater(startBytes, endBytes, fua, begin());
    const steps = begin();
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return fua ? recorder.sync(index) : undefined;
      // The lock is taken in this very turn, so nothing comes between the steps done and those left.
      if (value.kind === "record") return this.#performLater(startBytes, endBytes, fua, steps, value);
    }
  }

  async #performLater(startBytes: number, endBytes: number, fua: boolean, steps: Steps, first?: Wait): Promise<void> {
    const { clock, index, lock, recorder } = this.#options;
    const release = await lock.take(startBytes, endBytes);
    try {
      for (let wait = first; ;) {
        if (wait?.kind === "record") await recorder.ready(wait.record);
        else if (wait !== undefined) await clock.turn();
        const { done, value } = steps.next();
        if (done === true) break;
        wait = value;
      }
    } finally {
      release();
    }
    if (fua) await recorder.sync(index);
  }

  *#writeSteps(offsetBytes: number, data: Buffer): Steps {
    const { index, image } = this.#options;
    const aligned = alignWrite(image, offsetBytes, data);
    for (let at = 0; at < aligned.data.length; at += JOURNAL_RECORD_MAX_BYTES) {
      const piece = aligned.data.subarray(at, at + JOURNAL_RECORD_MAX_BYTES);
      const from = aligned.offsetBytes + at;
      yield* this.#recordSteps(
        { kind: "write", disk: index, pass: 0, offsetBytes: from, lengthBytes: piece.length },
        piece,
      );
      this.#change(() => image.write(piece, from));
      yield { kind: "turn" };
    }
  }

  *#zeroSteps(offsetBytes: number, lengthBytes: number): Steps {
    const { index, image } = this.#options;
    const end = offsetBytes + lengthBytes;
    const from = Math.min(end, ceil(offsetBytes));
    const to = Math.max(from, floor(end));
    if (offsetBytes < from) yield* this.#writeSteps(offsetBytes, Buffer.alloc(from - offsetBytes));
    for (let at = from; at < to; at += JOURNAL_RECORD_MAX_BYTES) {
      const pieceBytes = Math.min(JOURNAL_RECORD_MAX_BYTES, to - at);
      yield* this.#recordSteps({ kind: "zero", disk: index, pass: 0, offsetBytes: at, lengthBytes: pieceBytes }, EMPTY);
      this.#change(() => writeZeros(image, at, pieceBytes));
      yield { kind: "turn" };
    }
    if (to < end) yield* this.#writeSteps(to, Buffer.alloc(end - to));
  }

  /** Ends in the turn that recorded or marked the change: the image is touched next. */
  *#recordSteps(record: RangeRecord, data: Buffer): Steps {
    while (!this.#options.recorder.record(record, data)) yield { kind: "record", record };
  }

  #change(change: () => void): void {
    try {
      change();
    } catch (cause) {
      // The record exists and the image lacks it: nothing more may be recorded on top. The next start redoes it.
      const error = new LeewardError(
        "capture-failed",
        `The image of disk ${this.name} cannot be written.`,
        { disk: this.name },
        { cause },
      );
      this.#options.recorder.fail(error);
      throw error;
    }
  }
}

const floor = (bytes: number): number => bytes - (bytes % SECTOR_BYTES);
const ceil = (bytes: number): number => floor(bytes + SECTOR_BYTES - 1);

/**
 * Records hold whole sectors: the rest of a write's first and last sector is read from the image, under the same lock.
 */
function alignWrite(
  image: Image,
  offsetBytes: number,
  data: Buffer,
): { readonly offsetBytes: number; readonly data: Buffer } {
  const from = floor(offsetBytes);
  const to = ceil(offsetBytes + data.length);
  if (from === offsetBytes && to - from === data.length) return { offsetBytes, data };
  const whole = Buffer.allocUnsafe(to - from);
  image.read(whole.subarray(0, SECTOR_BYTES), from);
  image.read(whole.subarray(whole.length - SECTOR_BYTES), to - SECTOR_BYTES);
  data.copy(whole, offsetBytes - from);
  return { offsetBytes: from, data: whole };
}
