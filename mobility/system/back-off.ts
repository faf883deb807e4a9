import { BACK_OFF_FIRST_MS, BACK_OFF_MAX_MS } from "../limits.ts";

/**
 * How long to wait before attempt `attempt` (0 is the first repetition): doubles up to BACK_OFF_MAX_MS; the random half
 * keeps many machines apart.
 */
export function backOffMs(attempt: number, random: () => number): number {
  const fullMs = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** Math.min(attempt, 20));
  return fullMs / 2 + (random() * fullMs) / 2;
}
