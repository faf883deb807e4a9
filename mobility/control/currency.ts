import { samePosition, type Position } from "../../replication/position.ts";

/**
 * Remembers the last time at which the uploaded position was complete: every write up to then lies at or before it. A
 * later write does not change that, so the target's recovery point objective counts from that time, and not from the
 * last write before it. A clock that was set back does: it is then unknown which writes that time covers.
 */
export function createCurrency(): (uploaded: Position, nothingPending: boolean, nowMs: number) => number | undefined {
  let last: { readonly uploaded: Position; readonly atMs: number } | undefined;
  return (uploaded, nothingPending, nowMs) => {
    if (nothingPending) last = { uploaded, atMs: nowMs };
    return last !== undefined && samePosition(last.uploaded, uploaded) && last.atMs <= nowMs ? last.atMs : undefined;
  };
}
