/**
 * What one process of the function app does at once for all mobility services, and for each of them; all other limits
 * are in replication/limits.ts.
 */

/**
 * Mobility service requests that one process answers at once: a heartbeat pins a few KiB and lasts as long as four
 * requests to storage.
 */
export const HEARTBEATS_AT_ONCE = 64;
/**
 * Epochs that one process settles at once. Each may hold a whole delta of DELTA_MAX_BYTES with its tables in memory
 * while its frames are decoded.
 */
export const SETTLES_AT_ONCE = 2;
/** ... of one service at once: of its UPLOADS_IN_FLIGHT one can wait. */
export const SETTLES_OF_SERVICE_AT_ONCE = 1;
/** Heartbeats of one service at once: a service that stops reports it while another heartbeat is in flight. */
export const HEARTBEATS_OF_SERVICE_AT_ONCE = 2;
/**
 * Burst size for one service, and how often another request is granted: heartbeats come at most every HEARTBEAT_MIN_MS.
 */
export const HEARTBEATS_BURST = 16;
export const HEARTBEATS_REFILL_MS = 250;
/**
 * A service settles an epoch when the cache reports that it exists: after a start, or a lost answer. More often would
 * only make us decode.
 */
export const SETTLES_BURST = 8;
export const SETTLES_REFILL_MS = 5_000;
/** Services whose requests one process counts: the least recently heard is dropped first, until its next request. */
export const SERVICES_COUNTED_MAX = 10_000;

// --- Memory of one process (functions/memory.ts) ---
/** Memory of the smallest instance that the app must run on: that of the Consumption plan. */
export const INSTANCE_MEMORY_BYTES = 1_536 * 1024 * 1024;
/** Node with the app and the SDKs loaded, and the host beside it, before any request. */
export const BASE_MEMORY_BYTES = 384 * 1024 * 1024;
/**
 * Batches of one process that may hold a delta of DELTA_MAX_BYTES: all others are small. More would not be faster than
 * the disks of one item.
 */
export const LARGE_BATCHES_AT_ONCE = 1;
/** A request of a mobility service: its body, its answer and three records. */
export const REQUEST_MEMORY_BYTES = 64 * 1024;
/** An activity, a slice of a restore or an alert: records, and pages of lists of Resource Manager. */
export const ACTIVITY_MEMORY_BYTES = 1024 * 1024;
/** Share of the memory in use that waits to be collected. */
export const GARBAGE_SHARE = 0.1;
