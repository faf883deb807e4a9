import { LeewardError } from "../../replication/errors.ts";
import { EPOCH_MAX_EXTENTS } from "../../replication/limits.ts";
import { createEpochIndex } from "../epochs/epoch-index.ts";
import type { Sealer } from "../epochs/sealer.ts";
import type { Journal } from "../journal/journal.ts";
import { RECORD_HEADER_BYTES, type JournalRecord } from "../journal/record.ts";
import { EPOCH_MAX_DATA_BYTES, JOURNAL_CLOSED_SEGMENTS_MAX } from "../limits.ts";
import type { Clock } from "../system/clock.ts";

/**
 * The one ordered log of all disks of the VM, cut into epochs by age, size, extents and request. It may be cut between
 * any two records.
 */
export interface WriteLog {
  /**
   * Records the change; only when this has returned may the image be touched. Throws `capture-failed`, and then nothing
   * was recorded.
   */
  append(record: Omit<JournalRecord, "sequence" | "timeMs">, data: Buffer): void;
  /**
   * False while too many closed segments wait for the processor or the local disk (never for the network): then writes
   * wait for `room`.
   */
  readonly hasRoom: boolean;
  /** Resolves when there is space, or when sealing fails: then the caller has to find another way. */
  room(): Promise<void>;
  /** Closes the epoch now; does nothing when it is empty. Sealing continues by itself. */
  cut(): void;
  /** Stops taking records for good: the image and the log may differ until the journal is redone by the next start. */
  fail(error: LeewardError): void;
  readonly failure: LeewardError | undefined;
  /** Another stream begins: its times may be earlier than those of the previous one. */
  forgetTimes(): void;
  /** The segment of the last record, or of the next one. */
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
  /** Later records never carry an earlier time, unless this one was in the future. */
  readonly lastWriteMs: number;
  /** The latest time that a correct clock can show; without it any time may be right. */
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
      // A clock that jumps back must not make the times of a stream decrease, unless the last time was wrong, which
      // would pin all later ones. Never inside an epoch.
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
      // After a failure the next append throws: waiting would never end.
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
