/**
 * Every limit of the lab, the supervisor, the demo and `npm start`, with its reason; the local cloud that they start
 * has its own. Units stand last in each name.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Requests in flight on one connection of the lab's NBD client: its writer has one, its copies a few; more would only
 * fill the server's queue.
 */
export const LAB_NBD_REQUESTS_MAX = 64;
/** Bytes of one READ or WRITE: every NBD server takes 32 MiB (protocol document, "Block size constraints"). */
export const LAB_NBD_PAYLOAD_MAX_BYTES = 32 * MIB;
/** Bytes of one answer to an NBD option: a name and a few numbers. */
export const LAB_NBD_OPTION_MAX_BYTES = 64 * KIB;
/**
 * Records of one write log that the oracle can replay: 20 minutes of the demo's writer; 12 KiB of digests each at the
 * most.
 */
export const LAB_LOG_MAX_RECORDS = 100_000;
/**
 * A child process that is not ready by then is taken for dead; a cold start of the app on a busy machine takes a few
 * seconds.
 */
export const CHILD_READY_MS = 60_000;
/**
 * A child that was asked to stop is killed afterwards; four stages one after the other stay below the ten seconds of a
 * whole stop.
 */
export const CHILD_STOP_MS = 4_000;
/**
 * A child that dies by itself is started again after this, after twice as long the next time, at most so often in a row
 * (15 s of pauses): what still dies then has a reason that another start does not mend. Azure's host gives up after
 * three.
 */
export const CHILD_RESTART_FIRST_MS = 500;
export const CHILD_RESTARTS_MAX = 5;
/** Who has run for so long has got over what killed it: the next death counts as the first. */
export const CHILD_SETTLED_MS = 60_000;
/** Between two tries of the guest of `npm start` to attach to disks whose service has died. */
export const START_ATTACH_PAUSE_MS = 1_000;
/** What that guest waits for its last record when it is told to stop: a part of the ten seconds of a whole stop. */
export const START_GUEST_STOP_MS = 1_000;
/** A whole stop of the local cloud takes at most this long: what still runs then is killed. */
export const CLOUD_STOP_MS = 10_000;
/** One call of the operator's API by the supervisor; the longest makes the target disks of a new item. */
export const OPERATOR_REQUEST_MS = 30_000;
/** Tries to take a folder whose holder is gone: somebody else may take it at the same moment. */
export const FOLDER_LOCK_TRIES = 3;
/** One run of a file system tool on an image of a few MiB. */
export const LAB_TOOL_MS = 60_000;
/**
 * One stage of the demo on a slow machine: a dead holder's claim and the sweep take 35 s of it, the backlog of that
 * time the rest.
 */
export const DEMO_STAGE_MS = 180_000;
/** After Ctrl-C, what the step under way may take to end by itself. */
export const DEMO_STEP_END_MS = 3_000;
