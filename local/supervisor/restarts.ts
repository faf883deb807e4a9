import { CHILD_RESTART_FIRST_MS, CHILD_RESTARTS_MAX, CHILD_SETTLED_MS } from "../limits.ts";

type AfterDeath =
  | { readonly kind: "restart"; readonly pauseMs: number; readonly deaths: number }
  | { readonly kind: "stay-down" };

/**
 * What follows when a child has died by itself after `ranMs`, and before that `deaths` times in a row: another start
 * after a pause that doubles, or none. Who has run for a while begins anew.
 */
export function afterDeath(deaths: number, ranMs: number): AfterDeath {
  const inARow = ranMs >= CHILD_SETTLED_MS ? 1 : deaths + 1;
  if (inARow > CHILD_RESTARTS_MAX) return { kind: "stay-down" };
  return { kind: "restart", pauseMs: CHILD_RESTART_FIRST_MS * 2 ** (inARow - 1), deaths: inARow };
}
