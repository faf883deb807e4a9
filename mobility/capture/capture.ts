import type { Position } from "../../replication/position.ts";
import type { CaptureMode } from "../disks/activity.ts";
import type { DirtyMap } from "../disks/dirty-map.ts";
import type { Image } from "../disks/image.ts";
import type { OpenedDisk } from "../disks/open-disks.ts";
import { createRangeLock, type RangeLock } from "../disks/range-lock.ts";
import type { SealThread } from "../epochs/seal-thread.ts";
import { startSealer, type Sealer } from "../epochs/sealer.ts";
import type { SpooledDelta } from "../epochs/spool.ts";
import { openJournal, type Journal } from "../journal/journal.ts";
import type { NbdDisk } from "../nbd/connection.ts";
import type { Clock } from "../system/clock.ts";
import type { Files } from "../system/files.ts";
import type { Pace } from "../system/pace.ts";
import type { OpenedState } from "./open-state.ts";
import { openRecorder, type Recorder } from "./recorder.ts";
import { startSeeding, type Seeding } from "./seeding.ts";
import { createVolume, type Churn } from "./volume.ts";
import { openWriteLog, type WriteLog } from "./write-log.ts";

/**
 * Everything between a request of the guest and a sealed delta: volumes, journal, dirty map, epochs, seeding. Needs no
 * network.
 */
export interface Capture {
  /** By disk number. */
  readonly volumes: readonly NbdDisk[];
  readonly log: WriteLog;
  readonly sealer: Sealer;
  readonly recorder: Recorder;
  readonly seeding: Seeding;
  readonly map: DirtyMap;
  readonly churn: Churn;
  /**
   * Ends the stream of the state folder and begins the one at this start position, with initial replication of all
   * disks, while the guest keeps running. Does nothing when that stream is already open. Rejects when this cannot be
   * made durable now: the old stream then continues, and the call may be repeated.
   */
  beginStream(start: Position): Promise<void>;
  /** Answers requests that still wait with an error. */
  giveUp(): void;
  /** Syncs images and dirty map to the medium. */
  settle(): Promise<void>;
  /** Call after the last request has ended. Unsealed records stay in the journal for the next start. */
  stop(): Promise<void>;
}

export interface CaptureOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly disks: readonly OpenedDisk[];
  readonly opened: OpenedState;
  readonly journalFolder: string;
  readonly spoolFolder: string;
  readonly epochMaxAgeMs: number;
  /** The latest time that a correct clock can show. */
  readonly latestMs?: (() => number) | undefined;
  /** Stopped with the capture. */
  readonly thread: SealThread;
  /** Sealed deltas that wait for upload, and the space that they and the journal may take. */
  readonly spool: () => { readonly count: number; readonly bytes: number };
  readonly spoolBoundBytes: () => number;
  readonly seedPace: Pace;
  readonly random: () => number;
  readonly sealed: (delta: SpooledDelta) => void;
  /** Another stream has begun: files that wait for upload are useless now and may be removed. */
  readonly streamBegun: () => void;
  readonly modeChanged: (mode: CaptureMode) => void;
  readonly failed: (error: unknown) => void;
}

export function openCapture(options: CaptureOptions): Capture {
  const { clock, disks, opened, thread } = options;
  const { activity, map, recovered } = opened;
  const images = disks.map((disk) => disk.image);
  const locks = disks.map(() => createRangeLock());
  const { journal, log, sealer, recorder, seeding } = connect(options, images, locks);
  beginSeeding(opened, seeding);
  for (const { number, lengthBytes, lastSequence } of recovered.unsealed) sealer.add(number, lengthBytes, lastSequence);
  const churn: Churn = { writes: 0, writtenBytes: 0, zeroedBytes: 0, reads: 0, readBytes: 0, flushes: 0 };
  const volumes = disks.map(({ description, image }, index) => {
    const lock = locks[index] ?? createRangeLock();
    return createVolume({ disk: description, index, image, lock, recorder, churn, clock });
  });
  return {
    volumes,
    log,
    sealer,
    recorder,
    seeding,
    map,
    churn,
    beginStream: (start) => recorder.beginStream(start),
    giveUp: () => {
      log.stop();
      void recorder.stop();
    },
    settle: async () => {
      await syncAll(images);
      await map.sync();
    },
    stop: async () => {
      log.stop();
      await seeding.stop();
      await recorder.stop();
      await sealer.stop();
      await thread.stop();
      journal.close();
      activity.close();
      map.close();
    },
  };
}

/** Connects the parts that need each other. None of them runs before the first record, mark or segment. */
function connect(options: CaptureOptions, images: readonly Image[], locks: readonly RangeLock[]) {
  const { activity, map, recovered, state } = options.opened;
  const journal = openJournal({
    files: options.files,
    folder: options.journalFolder,
    binding: state.current.binding,
    number: recovered.nextNumber,
    firstSequence: recovered.nextSequence,
  });
  // Their deltas are in the spool, and openState has synced the images.
  for (const number of recovered.sealed) journal.remove(number);
  const sealer = startSealer({
    ...options,
    journal,
    state,
    syncImages: () => syncAll(images),
    syncJournal: () => syncJournal(journal, recorder),
    damaged: () => recorder.resynchronize("journal-damaged", undefined),
    giveUp: (segment) => recorder.giveUp(segment),
    removed: (segment) => seeding.removed(segment),
  });
  const log = openWriteLog({
    ...options,
    journal,
    sealer,
    diskCount: images.length,
    lastWriteMs: Math.max(state.current.lastWriteMs, recovered.lastWriteMs),
  });
  const parts = { ...options, journal, log, sealer, map, activity, state, images };
  const spooledBytes = (): number => options.spool().bytes;
  const recorder: Recorder = openRecorder({
    ...parts,
    seeding: () => seeding,
    spooledBytes,
    changed: options.modeChanged,
  });
  const seeding: Seeding = startSeeding({ ...parts, locks, recorder, pace: options.seedPace });
  return { journal, log, sealer, recorder, seeding };
}

async function syncAll(images: readonly Image[]): Promise<void> {
  for (const image of images) await image.sync();
}

/** After the log has ended, the images hold all of it durably, so a sealed delta cannot be ahead of them. */
async function syncJournal(journal: Journal, recorder: Recorder): Promise<void> {
  if (recorder.mode.kind === "tracking") return;
  try {
    await journal.sync();
  } catch {
    await recorder.track("journal-failed");
  }
}

/**
 * Continues with what the map holds. A pass whose end is in the log is complete, even if the process died before the
 * map recorded it.
 */
function beginSeeding({ activity, recovered, state }: OpenedState, seeding: Seeding): void {
  const { seed, seedFresh } = state.current;
  if (activity.mode.kind === "tracking") seeding.interrupt();
  else if (recovered.seed.done && recovered.seed.pass === seed.pass) seeding.end(recovered.unsealed.at(-1)?.number);
  else seeding.begin(seed.pass, seedFresh);
}
