import { DURABLE_TIMER_LONGEST_MS, DURABLE_TIMER_PART_MS } from "../../../limits.ts";
import type { Retry } from "./actions.ts";

/** The latest time a JavaScript Date can hold. */
const LAST_MOMENT_MS = 8_640_000_000_000_000;

/**
 * When the next attempt is made after `failures` failed ones (1 for the first); after the last one at once, because the
 * SDK waits for a timer there too.
 */
export function retryAt(retry: Retry, failures: number, nowMs: number): number {
  if (failures >= retry.maxAttempts) return nowMs;
  const delayMs = Math.min(retry.firstIntervalMs * retry.coefficient ** (failures - 1), retry.maxIntervalMs);
  return Math.min(Math.ceil(nowMs + Math.max(0, delayMs)), LAST_MOMENT_MS);
}

/** True for a timer that host and SDK split into several, each with its own sequence id. */
export const isLong = (fireAtMs: number, nowMs: number): boolean => fireAtMs - nowMs > DURABLE_TIMER_LONGEST_MS;

/** When the next part of a long timer fires. */
export const nextPartAt = (fireAtMs: number, nowMs: number): number =>
  isLong(fireAtMs, nowMs) ? nowMs + DURABLE_TIMER_PART_MS : fireAtMs;
