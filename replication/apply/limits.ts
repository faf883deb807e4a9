import { CLAIM_MS } from "../limits.ts";

/**
 * How hard a worker presses the target account, and how long it bears a busy one. What bounds a batch and a claim
 * stands in replication/limits.ts.
 */

/**
 * A run that lost its claim waits this long before it claims again, and twice as long each further time: what broke is
 * rarely mended at once.
 */
export const CLAIM_AGAIN_PAUSE_MS = 250;
/**
 * Azure's scalability targets of one page blob: 60 MiB/s and 500 requests/s. Page writes stay so far below them that in
 * no second, whatever came before, more than 60 MiB or 500 requests are sent: one second at these rates, PAGE_BURST_MS
 * of them saved up, and one full Put Page.
 */
export const PAGE_BYTES_PER_SECOND = 50 * 1024 * 1024;
export const PAGE_REQUESTS_PER_SECOND = 420;
/** A few small writes after a rest, the usual epoch, go out without waiting for each other. */
export const PAGE_BURST_MS = 100;
/**
 * No page write waits longer for its turn: those in flight are due within a second, so that more is a clock that was
 * set back.
 */
export const PAGE_WAIT_MAX_MS = 2_000;
/** Pauses before a request that the store was too busy for begin here, double, and end at the second. */
export const BUSY_PAUSE_MS = 50;
export const BUSY_PAUSE_MAX_MS = 2_000;
/**
 * When a store took nothing for this long it is no throttle that passes: the item is let go, and its message waits in
 * the queue.
 */
export const BUSY_MAX_MS = CLAIM_MS;
/**
 * The writing of one batch ends here, however slow the store: with what came before it in its slice, less than the
 * host's ten minutes.
 */
export const BATCH_WRITE_MAX_MS = 8 * 60_000;
/**
 * A holder looks this often whether its stream is still announced, and before each recovery point: whoever closes a
 * stream waits for it.
 */
export const STREAM_LOOK_MS = 10_000;

/**
 * Encoded bytes of a small batch, and of one delta in it: what a usual machine writes in some seconds. Together with
 * its tables, which take up to TABLE_MEMORY_PER_BYTE of memory for each byte of a file, it fits the memory of each of
 * the items that are worked on at once (functions/memory.ts).
 */
export const SMALL_BATCH_MAX_BYTES = 1024 * 1024;
/** Decoded frames that are kept of a small batch. */
export const SMALL_FRAMES_HELD_MAX_BYTES = 8 * 1024 * 1024;
/** How often a worker looks whether it may hold a large batch. */
export const LARGE_BATCH_LOOK_MS = 250;
/**
 * Memory of a decoded extent with its frame (measured on Node 24: 268 bytes for data, 83 for zeros), and of the page
 * operations made of it (402 and 99).
 */
export const EXTENT_DECODED_BYTES = 270;
export const EXTENT_PLANNED_BYTES = 400;
/** The same for each byte of a file, which has at least 20 for an extent, and 40 for one with its frame. */
export const TABLE_MEMORY_PER_BYTE = 18;
/** A frame that is held costs this beside its bytes: its array and its place in the map (measured: 650 bytes). */
export const FRAME_MEMORY_BYTES = 700;
