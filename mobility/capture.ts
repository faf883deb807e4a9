import type { OpenedDisk } from "./disks/open-disks.ts";
import { createRangeLock } from "./disks/range-lock.ts";
import type { RangeLock } from "./disks/range-lock.ts";
import { createVolume } from "./disks/volume.ts";
import type { Churn } from "./disks/volume.ts";
import { startSealThread } from "./epochs/seal-thread.ts";
import { startSealer } from "./epochs/sealer.ts";
import type { Sealer } from "./epochs/sealer.ts";
import type { SpooledDelta } from "./epochs/spool.ts";
import { openWriteLog } from "./epochs/write-log.ts";
import type { WriteLog } from "./epochs/write-log.ts";
import { openJournal } from "./journal/journal.ts";
import type { NbdDisk } from "./nbd/connection.ts";
import type { OpenedState } from "./open-state.ts";

/** Everything between a request of the guest and a sealed delta: volumes, journal, epochs. Needs no network. */
export interface Capture {
  /** By disk number. */
  readonly volumes: readonly NbdDisk[];
  readonly locks: readonly RangeLock[];
  readonly log: WriteLog;
  readonly sealer: Sealer;
  readonly churn: Churn;
  /** Call after the last request has ended. What is not sealed yet stays in the journal for the next start. */
  stop(): Promise<void>;
}

export interface CaptureOptions {
  readonly disks: readonly OpenedDisk[];
  readonly opened: OpenedState;
  readonly journalFolder: string;
  readonly spoolFolder: string;
  readonly epochMaxAgeMs: number;
  readonly now: () => number;
  readonly random: () => number;
  readonly sealed: (delta: SpooledDelta) => void;
  readonly failed: (error: unknown) => void;
}

export function openCapture(options: CaptureOptions): Capture {
  const { disks, random, failed } = options;
  const { state, recovered } = options.opened;
  const journal = openJournal({
    folder: options.journalFolder,
    binding: state.current.binding,
    number: recovered.nextNumber,
    firstSequence: recovered.nextSequence,
  });
  // Their deltas are in the spool, and openState has put the images on the medium.
  for (const number of recovered.sealed) journal.remove(number);
  const thread = startSealThread();
  const sealer = startSealer({
    journal,
    thread,
    state,
    spoolFolder: options.spoolFolder,
    syncImages: async () => {
      for (const { image } of disks) await image.sync();
    },
    random,
    sealed: options.sealed,
    failed,
  });
  for (const { number, lengthBytes } of recovered.unsealed) sealer.add(number, lengthBytes);
  const log = openWriteLog({
    journal,
    sealer,
    diskCount: disks.length,
    epochMaxAgeMs: options.epochMaxAgeMs,
    now: options.now,
    lastWriteMs: Math.max(state.current.lastWriteMs, recovered.lastWriteMs),
    failed,
  });
  const churn: Churn = { writes: 0, writtenBytes: 0, zeroedBytes: 0, reads: 0, readBytes: 0, flushes: 0 };
  const parts = disks.map(({ description, image }, index) => {
    const lock = createRangeLock();
    return { lock, volume: createVolume({ disk: description, index, image, lock, log, churn }) };
  });
  return {
    volumes: parts.map((part) => part.volume),
    locks: parts.map((part) => part.lock),
    log,
    sealer,
    churn,
    stop: async () => {
      log.stop();
      await sealer.stop();
      await thread.stop();
      journal.close();
    },
  };
}
