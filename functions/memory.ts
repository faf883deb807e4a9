import {
  EXTENT_DECODED_BYTES,
  EXTENT_PLANNED_BYTES,
  SMALL_BATCH_MAX_BYTES,
  SMALL_FRAMES_HELD_MAX_BYTES,
  TABLE_MEMORY_PER_BYTE,
} from "../replication/apply/limits.ts";
import {
  BATCH_MAX_BYTES,
  BATCH_MAX_EXTENTS,
  DELTA_MAX_BYTES,
  DELTA_MAX_EXTENTS,
  FRAME_MAX_PLAIN_BYTES,
  FRAMES_HELD_MAX_BYTES,
  PAGE_WRITES_IN_FLIGHT,
  POINT_CACHE_DISK_BYTES,
  POINT_CACHE_MAX_DISKS,
  PUT_PAGE_MAX_BYTES,
} from "../replication/limits.ts";
import {
  ACTIVITY_MEMORY_BYTES,
  BASE_MEMORY_BYTES,
  GARBAGE_SHARE,
  HEARTBEATS_AT_ONCE,
  LARGE_BATCHES_AT_ONCE,
  REQUEST_MEMORY_BYTES,
  SETTLES_AT_ONCE,
} from "./limits.ts";

/** What the host runs at once in one process. */
export interface HostConcurrency {
  /** Messages of one queue: `batchSize` and `newBatchThreshold` of host.json. */
  readonly queueMessages: number;
  /** `maxConcurrentActivityFunctions` of the durable task extension. */
  readonly activities: number;
}

/**
 * The memory in bytes, part by part, that one process of the function app may need when everything that may run at once
 * does run, each at its largest. A pure function of the limits (rule 9).
 */
export function memoryOfApp({ queueMessages, activities }: HostConcurrency): Readonly<Record<string, number>> {
  const pages = PAGE_WRITES_IN_FLIGHT * PUT_PAGE_MAX_BYTES;
  // The deltas, and one more that was begun before the limit was reached; what is kept decoded, and a frame that found
  // no space; what is in flight.
  const largeBatch =
    BATCH_MAX_BYTES +
    DELTA_MAX_BYTES +
    (BATCH_MAX_EXTENTS + DELTA_MAX_EXTENTS) * (EXTENT_DECODED_BYTES + EXTENT_PLANNED_BYTES) +
    FRAMES_HELD_MAX_BYTES +
    FRAME_MAX_PLAIN_BYTES +
    pages;
  const smallBatch =
    2 * SMALL_BATCH_MAX_BYTES * (1 + TABLE_MEMORY_PER_BYTE) +
    SMALL_FRAMES_HELD_MAX_BYTES +
    FRAME_MAX_PLAIN_BYTES +
    pages;
  // A delta that is read for validation: its file, its tables (without page operations), one frame.
  const judged = DELTA_MAX_BYTES + DELTA_MAX_EXTENTS * EXTENT_DECODED_BYTES + FRAME_MAX_PLAIN_BYTES;
  const needed = {
    largeBatches: LARGE_BATCHES_AT_ONCE * largeBatch,
    smallBatches: Math.max(0, queueMessages - LARGE_BATCHES_AT_ONCE) * smallBatch,
    // Workers compare the journal's delta with the cache's, one after the other.
    comparing: judged,
    settling: SETTLES_AT_ONCE * judged,
    // The cache's delta and the journal's, for one item at a time.
    sweeping: judged + DELTA_MAX_BYTES,
    pointCache: POINT_CACHE_MAX_DISKS * POINT_CACHE_DISK_BYTES,
    requests: HEARTBEATS_AT_ONCE * REQUEST_MEMORY_BYTES,
    // Restores and alerts have queues of their own.
    activities: (activities + 2 * queueMessages) * ACTIVITY_MEMORY_BYTES,
  };
  const sum = Object.values(needed).reduce((total, bytes) => total + bytes, 0);
  return { base: BASE_MEMORY_BYTES, ...needed, garbage: sum * GARBAGE_SHARE };
}
