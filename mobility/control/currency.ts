import { samePosition } from "../../replication/position.ts";
import type { Position } from "../../replication/position.ts";

/**
 * Remembers until when the uploaded position was the whole truth: every write up to that moment lies at or before it. A
 * write that came since does not take that back, so that the target's recovery point objective counts from that moment,
 * and not from the last write before it. A clock that was set back does: nobody knows then which writes that moment
 * meant.
 */
export function createCurrency(): (uploaded: Position, nothingPending: boolean, nowMs: number) => number | undefined {
  let last: { readonly uploaded: Position; readonly atMs: number } | undefined;
  return (uploaded, nothingPending, nowMs) => {
    if (nothingPending) last = { uploaded, atMs: nowMs };
    return last !== undefined && samePosition(last.uploaded, uploaded) && last.atMs <= nowMs ? last.atMs : undefined;
  };
}
