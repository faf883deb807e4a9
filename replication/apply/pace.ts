import { PAGE_BURST_MS, PAGE_BYTES_PER_SECOND, PAGE_REQUESTS_PER_SECOND, PAGE_WAIT_MAX_MS } from "./limits.ts";

/** Takes the next slot of one page blob and returns how long to wait for it, in milliseconds. */
export type Pace = (nowMs: number, lengthBytes: number) => number;

/**
 * Keeps the page writes of one blob below Azure's limits, so that it never has to refuse: each request takes up the
 * time that its bytes, or the request itself, need at the blob's rates. Time left unused in the last PAGE_BURST_MS may
 * be used at once. The caller passes the time.
 */
export function createPace(): Pace {
  let freeAtMs = Number.NEGATIVE_INFINITY;
  return (nowMs, lengthBytes) => {
    const takesMs = 1_000 * Math.max(lengthBytes / PAGE_BYTES_PER_SECOND, 1 / PAGE_REQUESTS_PER_SECOND);
    const startMs = Math.min(Math.max(freeAtMs, nowMs - PAGE_BURST_MS), nowMs + PAGE_WAIT_MAX_MS);
    freeAtMs = startMs + takesMs;
    return Math.max(0, startMs - nowMs);
  };
}
