import { LeewardError } from "../../replication/errors.ts";
import { EPOCH_MAX_EXTENTS } from "../../replication/limits.ts";
import { EPOCH_MAX_DATA_BYTES, JOURNAL_CLOSED_SEGMENTS_MAX } from "../limits.ts";
import type { Clock } from "../system/clock.ts";
import type { Journal } from "../journal/journal.ts";
import { RECORD_HEADER_BYTES } from "../journal/record.ts";
import type { JournalRecord } from "../journal/record.ts";
import { createEpochIndex } from "../epochs/epoch-index.ts";
import type { Sealer } from "../epochs/sealer.ts";

/**
 * The one ordered log of all disks of the VM, cut into epochs by age, size, extents and request. Between any two
 * records it may be cut.
 */
export interface WriteLog {
  /**
   * Records; when this returns, and not before, the image may be touched. Throws `capture-failed`, and then nothing was
   * recorded.
   */
  append(record: Omit<JournalRecord, "sequence" | "timeMs">, data: Buffer): void;
  /**
   * False while too many closed segments wait for the processor or the local disk (never for the network): then writes
   * wait for `room`.
   */
  readonly hasRoom: boolean;
  /** Done when there is room, or when sealing fails: then it is time to look for another way. */
  room(): Promise<void>;
  /** Closes the epoch now; nothing happens when it is empty. Sealing goes on by itself. */
  cut(): void;
  /** Stops taking records for good: the image and the log may differ until the journal is redone by the next start. */
  fail(error: LeewardError): void;
  readonly failure: LeewardError | undefined;
  /** Another stream begins: times may be earlier than those of the one before. */
  forgetTimes(): void;
  /** The segment in which the last record stands, or the next one will. */
  readonly openSegment: number;
  /** Bytes recorded and not yet sealed. */
  readonly pendingBytes: number;
  /** No record waits for its epoch to be closed or sealed. */
  readonly empty: boolean;
  stop(): void;
}

export interface WriteLogOptions {
  readonly journal: Journal;
  readonly sealer: Sealer;
  readonly diskCount: number;
  readonly epochMaxAgeMs: number;
  readonly clock: Clock;
  /** Later records never carry an earlier time, unless that one had not come yet. */
  readonly lastWriteMs: number;
  /** What no right clock shows yet; without it any time may be right. */
  readonly latestMs?: (() => number) | undefined;
}

export function openWriteLog(options: WriteLogOptions): WriteLog {
  const { journal, sealer } = options;
  let index = createEpochIndex(options.diskCount);
  let records = 0;
  let lastMs = options.lastWriteMs;
  let failure: LeewardError | undefined;
  /** Runs while the open epoch has records. A timer, not the clock: the wall clock may jump. */
  let stopAge: (() => void) | undefined;

  const cut = (): void => {
    if (records === 0) return;
    const bytes = journal.openBytes;
    const lastSequence = journal.nextSequence - 1;
    const segment = journal.cut();
    stopAge?.();
    stopAge = undefined;
    index = createEpochIndex(options.diskCount);
    records = 0;
    sealer.add(segment, bytes, lastSequence);
  };
  return {
    append: (record, data) => {
      if (failure !== undefined) throw failure;
      // A clock that jumps back must not make the times of a stream decrease; but for one that was wrong, which would
      // pin all that come. Inside an epoch never.
      const isWrong = lastMs > (options.latestMs?.() ?? lastMs);
      const full =
        journal.openBytes + RECORD_HEADER_BYTES + data.length > EPOCH_MAX_DATA_BYTES ||
        index.count() + 2 > EPOCH_MAX_EXTENTS;
      if (full || isWrong) cut();
      lastMs = Math.max(isWrong ? 0 : lastMs, options.clock.now());
      index.add(record, journal.append({ ...record, timeMs: lastMs }, data));
      records += 1;
      stopAge ??= options.clock.after(options.epochMaxAgeMs, cut);
    },
    get hasRoom() {
      // With a failure the next append throws: waiting would have no end.
      return failure !== undefined || sealer.waiting < JOURNAL_CLOSED_SEGMENTS_MAX;
    },
    room: () => sealer.belowOrFailing(JOURNAL_CLOSED_SEGMENTS_MAX),
    cut,
    fail: (error) => {
      failure ??= error;
    },
    get failure() {
      return failure;
    },
    forgetTimes: () => {
      lastMs = 0;
    },
    get openSegment() {
      return journal.openNumber;
    },
    get pendingBytes() {
      return sealer.waitingBytes + (records === 0 ? 0 : journal.openBytes);
    },
    get empty() {
      return records === 0 && sealer.waiting === 0;
    },
    stop: () => {
      stopAge?.();
      failure ??= new LeewardError("capture-failed", "The service is stopping.");
    },
  };
}
