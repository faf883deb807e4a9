import type { TrackingReason } from "../disks/activity.ts";

/**
 * Where the log of a service stands. `logging`: what changes a disk is recorded; `tracking`: there is no room for a
 * log, and the dirty map is marked instead; `closing` and `opening`: on the way there and back, while neither would do.
 */
export type Rung = "logging" | "closing" | "tracking" | "opening";

/**
 * What the ladder is asked, or told. `change`: a disk is about to be changed; `seed`: what was read of one could be
 * recorded; `flush`: all that was answered before has to be durable; `settle`: the same before another region becomes
 * active; `lose`: the log has to end; `close`: its end begins now; `closed`: its end is durable; `open`: there is room
 * for a log; `opened`: its beginning is durable; `failed`: it could not be made so.
 */
export type LadderEvent =
  | "change"
  | "seed"
  | "flush"
  | "settle"
  | "lose"
  | "close"
  | "closed"
  | "open"
  | "opened"
  | "failed";

/**
 * What is to be done. `wait`: nothing now, ask again when something has changed; `refuse`: nothing, and the answer is
 * no; `nothing`: it is so already, or on its way.
 */
export type LadderAction =
  | "record"
  | "mark"
  | "wait"
  | "refuse"
  | "sync-journal"
  | "sync-images"
  | "sync-map"
  | "end-log"
  | "begin-log"
  | "tell"
  | "nothing";

interface Step {
  readonly next: Rung;
  readonly action: LadderAction;
}

const step = (next: Rung, action: LadderAction): Step => ({ next, action });

/**
 * All that can happen, and what it leads to. A disk is changed behind a record or a mark only, and while the log ends
 * or begins behind neither; no step leads from logging to tracking or back but by what makes the change durable.
 * Undefined: cannot happen, because changes of the mode come one after the other.
 */
export const LADDER: Readonly<Record<Rung, Readonly<Record<LadderEvent, Step | undefined>>>> = {
  logging: {
    change: step("logging", "record"),
    seed: step("logging", "record"),
    flush: step("logging", "sync-journal"),
    settle: step("logging", "sync-journal"),
    lose: step("closing", "end-log"),
    close: step("closing", "end-log"),
    closed: undefined,
    open: undefined,
    opened: undefined,
    failed: undefined,
  },
  closing: {
    change: step("closing", "wait"),
    seed: step("closing", "refuse"),
    flush: step("closing", "wait"),
    settle: step("closing", "refuse"),
    lose: step("closing", "nothing"),
    close: step("closing", "end-log"),
    closed: step("tracking", "tell"),
    open: undefined,
    opened: undefined,
    failed: undefined,
  },
  tracking: {
    change: step("tracking", "mark"),
    seed: step("tracking", "refuse"),
    flush: step("tracking", "sync-images"),
    settle: step("tracking", "sync-map"),
    lose: step("tracking", "nothing"),
    close: step("tracking", "nothing"),
    closed: undefined,
    open: step("opening", "begin-log"),
    opened: undefined,
    failed: undefined,
  },
  opening: {
    change: step("opening", "wait"),
    seed: step("opening", "refuse"),
    flush: step("opening", "wait"),
    settle: step("opening", "refuse"),
    lose: step("opening", "nothing"),
    close: undefined,
    closed: undefined,
    open: undefined,
    opened: step("logging", "tell"),
    failed: step("tracking", "tell"),
  },
};

/** How full journal and spool are when a change is about to be recorded. Bytes count the change itself. */
export interface Fullness {
  /** The journal takes records now. */
  readonly hasRoom: boolean;
  /** Closed segments cannot be sealed. */
  readonly isSealerFailing: boolean;
  readonly bytes: number;
  readonly boundBytes: number;
}

/** Whether a change can be recorded: the guest waits for the local disk, never for the network. */
export function judgeRoom({
  hasRoom,
  isSealerFailing,
  bytes,
  boundBytes,
}: Fullness): "record" | "wait" | TrackingReason {
  if (!hasRoom) return isSealerFailing ? "disk-full" : "wait";
  return bytes > boundBytes ? "spool-full" : "record";
}
