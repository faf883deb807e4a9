import { CLAIM_MS } from "../limits.ts";

/**
 * How hard a worker presses the target account, and how long it bears a busy one. The bounds of batches and claims are
 * in replication/limits.ts.
 */

/**
 * A run that lost its claim waits this long before it claims again, and twice as long each further time: the cause is
 * rarely gone at once.
 */
export const CLAIM_AGAIN_PAUSE_MS = 250;
/**
 * Azure's scalability targets for one page blob: 60 MiB/s and 500 requests/s. Page writes stay so far below them that
 * no second, whatever came before, sends more than 60 MiB or 500 requests: one second at these rates, PAGE_BURST_MS of
 * them saved up, and one full Put Page.
 */
export const PAGE_BYTES_PER_SECOND = 50 * 1024 * 1024;
export const PAGE_REQUESTS_PER_SECOND = 420;
/** A few small writes after a pause, the usual epoch, go out without waiting for each other. */
export const PAGE_BURST_MS = 100;
/**
 * No page write waits longer for its turn: those in flight are due within a second, so a longer wait means that the
 * clock was set back.
 */
export const PAGE_WAIT_MAX_MS = 2_000;
/** The pauses before a retry of a `store-busy` request begin here, double, and end at one second. */
export const BUSY_PAUSE_MS = 50;
export const BUSY_PAUSE_MAX_MS = 2_000;
/**
 * A store that takes nothing for this long is not just throttling for a moment: the claim is released, and the item's
 * message waits in the queue.
 */
export const BUSY_MAX_MS = CLAIM_MS;
/**
 * Writing one batch ends here, however slow the store: together with the earlier part of its slice, less than the
 * host's ten minutes.
 */
export const BATCH_WRITE_MAX_MS = 8 * 60_000;
/**
 * A holder checks this often, and before each recovery point, whether its stream is still announced: closing a stream
 * waits for it.
 */
export const STREAM_LOOK_MS = 10_000;

/**
 * Encoded bytes of a small batch, and of one delta in it: what a typical machine writes in a few seconds. Together with
 * its tables, which take up to TABLE_MEMORY_PER_BYTE of memory for each byte of a file, it fits the memory of each item
 * that is worked on at once (functions/memory.ts).
 */
export const SMALL_BATCH_MAX_BYTES = 1024 * 1024;
/** Decoded frames kept for a small batch. */
export const SMALL_FRAMES_HELD_MAX_BYTES = 8 * 1024 * 1024;
/** How often a worker checks whether it may hold a large batch. */
export const LARGE_BATCH_LOOK_MS = 250;
/**
 * Memory of a decoded extent with its frame (measured on Node 24: 268 bytes for data, 83 for zeros), and of the page
 * operations made of it (402 and 99).
 */
export const EXTENT_DECODED_BYTES = 270;
export const EXTENT_PLANNED_BYTES = 400;
/** The same for each byte of a file, which has at least 20 for an extent, and 40 for one with its frame. */
export const TABLE_MEMORY_PER_BYTE = 18;
/** A held frame costs this on top of its bytes: its array and its place in the map (measured: 650 bytes). */
export const FRAME_MEMORY_BYTES = 700;
