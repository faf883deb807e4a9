import { EVENT_ATTEMPTS_MAX, EVENT_RETRY_FIRST_MS, EVENT_RETRY_MAX_MS } from "../limits.ts";

export interface RetryPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly attempts: number;
}

export const RETRY_POLICY: RetryPolicy = {
  firstMs: EVENT_RETRY_FIRST_MS,
  maxMs: EVENT_RETRY_MAX_MS,
  attempts: EVENT_ATTEMPTS_MAX,
};

/** How long to wait after the failed attempt `attempts` (1 is the first); undefined when none is left. */
export function retryAfterMs(policy: RetryPolicy, attempts: number): number | undefined {
  if (attempts >= policy.attempts) return undefined;
  return Math.min(policy.maxMs, policy.firstMs * 2 ** (attempts - 1));
}
