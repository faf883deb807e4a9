/**
 * Every limit of the lab, the supervisor, the demo and `npm start`, with its reason; the local cloud that they start
 * has its own. Names end with their units.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Requests in flight on one connection of the lab's NBD client: its writer has one, its copies a few; more would only
 * fill the server's queue.
 */
export const LAB_NBD_REQUESTS_MAX = 64;
/** Bytes of one READ or WRITE: every NBD server accepts 32 MiB (protocol document, "Block size constraints"). */
export const LAB_NBD_PAYLOAD_MAX_BYTES = 32 * MIB;
/** Bytes of one answer to an NBD option: a name and a few numbers. */
export const LAB_NBD_OPTION_MAX_BYTES = 64 * KIB;
/**
 * Records of one write log that the oracle can replay: 20 minutes of the demo's writer; at most 12 KiB of digests each.
 */
export const LAB_LOG_MAX_RECORDS = 100_000;
/**
 * A child process that is not ready by then counts as dead; a cold start of the app on a busy machine takes a few
 * seconds.
 */
export const CHILD_READY_MS = 60_000;
/**
 * A child that does not stop within this time is killed; four stages in a row stay below the ten seconds of a whole
 * stop.
 */
export const CHILD_STOP_MS = 4_000;
/**
 * A child that dies by itself is restarted after this pause, which doubles each time, at most this often in a row (15 s
 * of pauses): if it still dies, another start does not help. Azure's host gives up after three.
 */
export const CHILD_RESTART_FIRST_MS = 500;
export const CHILD_RESTARTS_MAX = 5;
/** A child that has run this long has recovered: its next death counts as the first. */
export const CHILD_SETTLED_MS = 60_000;
/** Pause between attempts of the `npm start` guest to attach to disks whose service has died. */
export const START_ATTACH_PAUSE_MS = 1_000;
/** How long that guest waits for its last record when it is stopped: a part of the ten seconds of a whole stop. */
export const START_GUEST_STOP_MS = 1_000;
/** A whole stop of the local cloud takes at most this long: anything still running is then killed. */
export const CLOUD_STOP_MS = 10_000;
/** One operator API call by the supervisor; the longest makes the target disks of a new item. */
export const OPERATOR_REQUEST_MS = 30_000;
/** Attempts to take a folder whose holder is gone: another process may take it at the same moment. */
export const FOLDER_LOCK_TRIES = 3;
/** One run of a file system tool on an image of a few MiB. */
export const LAB_TOOL_MS = 60_000;
/**
 * One stage of the demo on a slow machine: a dead holder's claim and the sweep take 35 s of it, the resulting backlog
 * the rest.
 */
export const DEMO_STAGE_MS = 180_000;
/** How long the step under way may take to end by itself after Ctrl-C. */
export const DEMO_STEP_END_MS = 3_000;
