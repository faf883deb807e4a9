import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import type { Files } from "../system/files.ts";
import { isFull } from "../system/full-disk.ts";
import { encodeRecordHeader, RECORD_HEADER_BYTES, type JournalRecord } from "./record.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, segmentName } from "./segment.ts";

/** The write log on disk: one open segment that grows, and closed ones that wait for their deltas. */
export interface Journal {
  /** Bytes of the open segment, including its header; 0 before its first record. */
  readonly openBytes: number;
  /** The number of the open segment, and the sequence of the next record. */
  readonly openNumber: number;
  readonly nextSequence: number;
  /** Why nothing more can be appended or made durable: the medium failed. A full disk is no such failure. */
  readonly failure: LeewardError | undefined;
  /**
   * Writes one record; when this returns the record survives the death of the process. Throws `capture-failed` with the
   * cause (for example, a full disk): then nothing was recorded and the caller must not touch the image. Returns the
   * offset of its data in the segment file.
   */
  append(record: Omit<JournalRecord, "sequence">, data: Buffer): number;
  /**
   * Closes the open segment and returns its number. The first record of the next one makes it: a full disk does not
   * matter until then.
   */
  cut(): number;
  /**
   * Resolves when every record appended before the call is on the medium (FLUSH, FUA). Concurrent calls share the work.
   */
  sync(): Promise<void>;
  /** Removes a closed segment whose delta is sealed. */
  remove(number: number): void;
  pathOf(number: number): string;
  close(): void;
}

export interface JournalOptions {
  readonly files: Files;
  readonly folder: string;
  readonly binding: string;
  /** Number and first sequence of the first segment. */
  readonly number: number;
  readonly firstSequence: number;
}

interface Segment {
  readonly number: number;
  readonly file: number;
  lengthBytes: number;
  /** Its name may not be on the medium yet. */
  unnamed: boolean;
}

/**
 * I/O is synchronous on the event loop on purpose: appending to a page-cached file takes microseconds, while a trip
 * through libuv's pool costs more than the write itself (measured: 0.94 against 0.50 of nbdkit's rate at 4 KiB, queue
 * depth 16), and the order of records needs no lock. Only fdatasync, which waits for the medium, goes through the pool.
 */
export function openJournal(options: JournalOptions): Journal {
  return new SegmentedJournal(options);
}

class SegmentedJournal implements Journal {
  readonly #options: JournalOptions;
  readonly #files: Files;
  readonly #folder: number;
  readonly #headerBytes = Buffer.alloc(RECORD_HEADER_BYTES);
  #nextSequence: number;
  #open: Segment | undefined;
  #openNumber: number;
  /** Closed segments that are not known to be on the medium, oldest first. */
  #unsynced: readonly Segment[] = [];
  #syncedSequence: number;
  #running: Promise<void> | undefined;
  #failure: LeewardError | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#files = options.files;
    this.#nextSequence = options.firstSequence;
    this.#syncedSequence = options.firstSequence - 1;
    this.#openNumber = options.number;
    this.#folder = this.#files.open(options.folder, "r");
  }

  get openBytes(): number {
    return this.#open?.lengthBytes ?? 0;
  }

  get openNumber(): number {
    return this.#openNumber;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get failure(): LeewardError | undefined {
    return this.#failure;
  }

  append(record: Omit<JournalRecord, "sequence">, data: Buffer): number {
    if (this.#failure !== undefined) throw this.#failure;
    const open = (this.#open ??= this.#openSegment(this.#openNumber));
    encodeRecordHeader(this.#headerBytes, record, this.#nextSequence, data);
    try {
      writeAll(
        this.#files,
        open.file,
        data.length === 0 ? [this.#headerBytes] : [this.#headerBytes, data],
        open.lengthBytes,
      );
    } catch (cause) {
      this.#failure = cutTornTail(this.#files, open) ?? (isFull(cause) ? undefined : writeFailed(cause));
      throw writeFailed(cause);
    }
    const dataOffsetBytes = open.lengthBytes + RECORD_HEADER_BYTES;
    open.lengthBytes = dataOffsetBytes + data.length;
    this.#nextSequence += 1;
    return dataOffsetBytes;
  }

  cut(): number {
    this.#open ??= this.#openSegment(this.#openNumber);
    this.#unsynced = [...this.#unsynced, this.#open];
    this.#open = undefined;
    this.#openNumber += 1;
    return this.#openNumber - 1;
  }

  async sync(): Promise<void> {
    const wanted = this.#nextSequence - 1;
    // A running pass may have begun before the last record: then one more is needed, which later callers share.
    while (this.#syncedSequence < wanted) {
      if (this.#failure !== undefined) throw this.#failure;
      this.#running ??= this.#syncPass().finally(() => (this.#running = undefined));
      await this.#running;
    }
  }

  remove(number: number): void {
    const segment = this.#unsynced.find((each) => each.number === number);
    // Its records are already durable in the spool. A running pass still uses the file and closes it itself.
    if (segment !== undefined && this.#running === undefined) {
      this.#files.close(segment.file);
      this.#unsynced = this.#unsynced.filter((each) => each !== segment);
    }
    this.#files.remove(this.pathOf(number));
  }

  pathOf(number: number): string {
    return join(this.#options.folder, segmentName(number));
  }

  close(): void {
    for (const segment of this.#segments()) this.#files.close(segment.file);
    this.#files.close(this.#folder);
    if (this.#open?.lengthBytes === SEGMENT_HEADER_BYTES) this.#files.remove(this.pathOf(this.#openNumber));
  }

  #segments(): readonly Segment[] {
    return this.#open === undefined ? this.#unsynced : [...this.#unsynced, this.#open];
  }

  #openSegment(number: number): Segment {
    const path = this.pathOf(number);
    let file: number | undefined;
    try {
      file = this.#files.open(path, "wx", 0o600);
      const header = encodeSegmentHeader({ number, firstSequence: this.#nextSequence, binding: this.#options.binding });
      writeAll(this.#files, file, [header], 0);
      return { number, file, lengthBytes: SEGMENT_HEADER_BYTES, unnamed: true };
    } catch (cause) {
      if (file !== undefined) this.#files.close(file);
      this.#files.remove(path);
      throw new LeewardError(
        "capture-failed",
        `A new journal segment cannot be made: ${reasonOf(cause)}.`,
        { segment: number },
        { cause },
      );
    }
  }

  /**
   * One pass over everything that is not on the medium, oldest first. A failed fdatasync is final: the kernel may have
   * dropped the pages.
   */
  async #syncPass(): Promise<void> {
    const target = this.#nextSequence - 1;
    const closed = this.#unsynced;
    const segments = this.#segments();
    try {
      if (segments.some((segment) => segment.unnamed)) await this.#files.syncLater(this.#folder);
      for (const segment of segments) {
        await this.#files.datasyncLater(segment.file);
        segment.unnamed = false;
      }
    } catch (cause) {
      this.#failure ??= new LeewardError(
        "capture-failed",
        `The journal cannot be made durable: ${reasonOf(cause)}.`,
        {},
        { cause },
      );
      throw this.#failure;
    }
    for (const segment of closed) this.#files.close(segment.file);
    this.#unsynced = this.#unsynced.filter((segment) => !closed.includes(segment));
    this.#syncedSequence = target;
  }
}

function writeFailed(cause: unknown): LeewardError {
  return new LeewardError("capture-failed", `The journal cannot be written: ${reasonOf(cause)}.`, {}, { cause });
}

/** Removes what a failed append left, or the next record would follow garbage. */
function cutTornTail(files: Files, segment: Segment): LeewardError | undefined {
  try {
    files.truncate(segment.file, segment.lengthBytes);
    return undefined;
  } catch (cause) {
    return new LeewardError(
      "capture-failed",
      "The journal ends in a damaged record that cannot be cut off.",
      {},
      { cause },
    );
  }
}

function writeAll(files: Files, file: number, parts: readonly Buffer[], positionBytes: number): void {
  let left = [...parts];
  let at = positionBytes;
  while (left.length > 0) {
    let count = files.writev(file, left, at);
    at += count;
    while (left[0] !== undefined && count >= left[0].length) {
      count -= left[0].length;
      left = left.slice(1);
    }
    if (left[0] !== undefined) left[0] = left[0].subarray(count);
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
}
