import { CHILD_RESTART_FIRST_MS, CHILD_RESTARTS_MAX, CHILD_SETTLED_MS } from "../limits.ts";

type AfterDeath =
  | { readonly kind: "restart"; readonly pauseMs: number; readonly deaths: number }
  | { readonly kind: "stay-down" };

/**
 * The reaction to a child's death by itself after `ranMs`, preceded by `deaths` deaths in a row: another start after a
 * pause that doubles, or none. A child that has run for a while starts the count again.
 */
export function afterDeath(deaths: number, ranMs: number): AfterDeath {
  const inARow = ranMs >= CHILD_SETTLED_MS ? 1 : deaths + 1;
  if (inARow > CHILD_RESTARTS_MAX) return { kind: "stay-down" };
  return { kind: "restart", pauseMs: CHILD_RESTART_FIRST_MS * 2 ** (inARow - 1), deaths: inARow };
}
