import { CLAIM_MS } from "../limits.ts";

/** How hard a worker presses the target account, and how long it bears a busy one. What bounds a batch and a claim stands in replication/limits.ts. */

/** A run that lost its claim waits this long before it claims again, and twice as long each further time: what broke is rarely mended at once. */
export const CLAIM_AGAIN_PAUSE_MS = 250;
/**
 * Azure's scalability targets of one page blob: 60 MiB/s and 500 requests/s. Page writes stay so far below them that in no second, whatever came before,
 * more than 60 MiB or 500 requests are sent: one second at these rates, PAGE_BURST_MS of them saved up, and one full Put Page.
 */
export const PAGE_BYTES_PER_SECOND = 50 * 1024 * 1024;
export const PAGE_REQUESTS_PER_SECOND = 420;
/** A few small writes after a rest, the usual epoch, go out without waiting for each other. */
export const PAGE_BURST_MS = 100;
/** No page write waits longer for its turn: those in flight are due within a second, so that more is a clock that was set back. */
export const PAGE_WAIT_MAX_MS = 2_000;
/** Pauses before a request that the store was too busy for begin here, double, and end at the second. */
export const BUSY_PAUSE_MS = 50;
export const BUSY_PAUSE_MAX_MS = 2_000;
/** When a store took nothing for this long it is no throttle that passes: the item is let go, and its message waits in the queue. */
export const BUSY_MAX_MS = CLAIM_MS;
/** The writing of one batch ends here, however slow the store: with what came before it in its slice, less than the host's ten minutes. */
export const BATCH_WRITE_MAX_MS = 8 * 60_000;
/** A holder looks this often whether its stream is still announced, and before each recovery point: whoever closes a stream waits for it. */
export const STREAM_LOOK_MS = 10_000;
