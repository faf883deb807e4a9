import { dirname, join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import { samePosition, type DiskDescription, type Position } from "../../replication/position.ts";
import { decodeRecord, encodeRecord } from "../../replication/records/envelope.ts";
import type { TrackingReason } from "../disks/activity.ts";
import type { SeedProgress } from "../journal/seed-progress.ts";
import { STATE_RESERVE_BYTES } from "../limits.ts";
import { replaceFileDurably, replaceFileDurablyLater, writeAll } from "../system/durable-file.ts";
import { isMissing, type Files } from "../system/files.ts";

/** `state.json`: what the service knows for sure after any crash. Anything later is in the journal's segments. */
export interface ServiceState {
  readonly version: 1;
  readonly itemId: string;
  /** Ordered by id, as in the deltas. */
  readonly disks: readonly DiskDescription[];
  /**
   * Ties journal, dirty map and activity log to this folder: first half of the checksum of its first stream's start,
   * whatever stream is open now.
   */
  readonly binding: string;
  /**
   * The position before epoch 1 of the open stream. Older files lack it: then there was one stream only, and `binding`
   * is the first half of its checksum.
   */
  readonly start?: Position | undefined;
  /** The end of the last epoch whose delta is durable in the spool, or the start of the stream. */
  readonly sealed: Position;
  /** Its segment: segments up to this number only wait to be removed. */
  readonly sealedSegment: number;
  readonly sealedSequence: number;
  /**
   * The images durably have every record of segments up to this number: if one comes back after a crash of the machine,
   * it is not redone.
   */
  readonly imagesSegment?: number | undefined;
  /** Time of its last record: later records are never earlier. */
  readonly lastWriteMs: number;
  /** The cache has this epoch and all before it. */
  readonly uploaded: Position;
  readonly seed: SeedProgress;
  /** The target disks of this pass began as zeros and nothing was ever lost: zeros need not be sent. */
  readonly seedFresh: boolean;
  /**
   * Everything is being marked in the dirty map for this pass: removed when the marks are on the medium. A start that
   * finds it repeats the marking.
   */
  readonly isMarkingAll?: boolean | undefined;
  /** Why a pass after the first one is running or ran. */
  readonly resynchronizationReason?: ResynchronizationReason | undefined;
  /** The last request obeyed: repeating it changes nothing. */
  readonly resynchronizationId?: string | undefined;
  readonly bootId: string;
  /** The service was stopped cleanly: images and journal are on the medium. */
  readonly clean: boolean;
}

/** Why the target may lack what the disks hold. */
export type ResynchronizationReason =
  | TrackingReason
  | "machine-restarted"
  | "journal-damaged"
  | "dirty-map-missing"
  | "dirty-map-damaged"
  | "requested";

/**
 * Whether the open stream is the one that begins here: numbers alone may repeat when everything at the target was
 * removed by hand.
 */
export function isOfStream({ start, sealed, binding }: ServiceState, given: Position): boolean {
  return start === undefined
    ? sealed.stream === given.stream && given.checksum.startsWith(binding)
    : samePosition(start, given);
}

/** The cache has everything up to here. A delta of an ended stream says nothing about its successor. */
export function uploadedTo(end: Position): (state: ServiceState) => StateChange {
  return ({ sealed }) => (sealed.stream === end.stream && sealed.epoch >= end.epoch ? { uploaded: end } : {});
}

export type StateChange = Partial<Omit<ServiceState, "version" | "itemId" | "disks">>;

export interface StateFile {
  /** Certainly durable: a change shows here when it is done, and never before. */
  readonly current: ServiceState;
  /**
   * Resolves when the change is durable. Changes that arrive during a write are written together, in order; a function
   * receives the result of those before it. Rejects when they cannot be written: none of them then shows in `current`,
   * and the caller may try again or not. The file may still have them (a failed sync after the rename), until the next
   * successful change: so the caller must accept both after a kill.
   */
  change(change: StateChange | ((state: ServiceState) => StateChange)): Promise<void>;
}

/** The state in the file, or undefined for a new folder; `state-corrupt` when it is damaged. */
export function readState(files: Files, path: string): ServiceState | undefined {
  let bytes: Buffer;
  try {
    bytes = files.readFile(path);
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new LeewardError("state-corrupt", `${path} cannot be read.`, { path }, { cause });
  }
  try {
    return decodeRecord<ServiceState>(path, 1, bytes);
  } catch (cause) {
    throw new LeewardError("state-corrupt", `${path} does not match its checksum.`, { path }, { cause });
  }
}

/**
 * Writes `initial` durably, so that later steps can rely on it. A full disk must not keep the service from remembering
 * what was uploaded, or nothing would ever leave the spool: a reserve file frees space when there is none.
 */
export function openStateFile(files: Files, path: string, initial: ServiceState): StateFile {
  let current = initial;
  let last: Promise<void> = Promise.resolve();
  let waiting: { readonly changes: ((state: ServiceState) => StateChange)[]; readonly done: Promise<void> } | undefined;
  releaseReserve(files, path);
  replaceFileDurably(files, path, encodeRecord(current));
  makeReserve(files, path);
  const write = async (
    changes: readonly ((state: ServiceState) => StateChange)[],
    before: Promise<void>,
  ): Promise<void> => {
    // Whether the previous write succeeded concerns only its own callers.
    await before.catch(() => undefined);
    waiting = undefined;
    const next = changes.reduce((state, change) => ({ ...state, ...change(state) }), current);
    try {
      await replaceFileDurablyLater(files, path, encodeRecord(next));
    } catch {
      releaseReserve(files, path);
      try {
        await replaceFileDurablyLater(files, path, encodeRecord(next));
      } finally {
        makeReserve(files, path);
      }
    }
    current = next;
  };
  return {
    get current() {
      return current;
    },
    change: (change) => {
      if (waiting === undefined) {
        const changes: ((state: ServiceState) => StateChange)[] = [];
        waiting = { changes, done: (last = write(changes, last)) };
      }
      waiting.changes.push(typeof change === "function" ? change : () => change);
      return waiting.done;
    },
  };
}

const reservePath = (statePath: string): string => join(dirname(statePath), "reserve");

/** Frees its space. The next write of the state makes it again, if it can. */
export function releaseReserve(files: Files, statePath: string): void {
  files.remove(reservePath(statePath));
}

function makeReserve(files: Files, statePath: string): void {
  try {
    const file = files.open(reservePath(statePath), "w", 0o600);
    try {
      writeAll(files, file, Buffer.alloc(STATE_RESERVE_BYTES, 1), 0);
    } finally {
      files.close(file);
    }
  } catch {
    // The disk is full: a smaller reserve is better than none.
  }
}
