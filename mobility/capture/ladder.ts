import type { TrackingReason } from "../disks/activity.ts";

/**
 * State of a service's log. `logging`: changes of a disk are recorded; `tracking`: there is no space for a log, and the
 * dirty map is marked instead; `closing` and `opening`: the transitions between them, when neither is safe.
 */
export type Rung = "logging" | "closing" | "tracking" | "opening";

/**
 * Events of the ladder. `change`: a disk is about to be changed; `seed`: data read from one could be recorded; `flush`:
 * everything answered before has to be durable; `settle`: the same before another region becomes active; `lose`: the
 * log has to end; `close`: its end begins now; `closed`: its end is durable; `open`: there is space for a log;
 * `opened`: its beginning is durable; `failed`: it could not be made durable.
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
 * What the caller has to do. `wait`: nothing now, ask again when something has changed; `refuse`: nothing, the request
 * is refused; `nothing`: it is already so, or on its way.
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
 * Every event and what it leads to. A disk is changed only after a record or a mark, and never while the log ends or
 * begins; only a step that makes the change durable leads from logging to tracking or back. Undefined: cannot happen,
 * because changes of the mode run one at a time.
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

/** How full journal and spool are when a change is about to be recorded. Bytes include the change itself. */
export interface Fullness {
  /** The journal accepts records now. */
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
