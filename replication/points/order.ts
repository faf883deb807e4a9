import type { Position } from "../position.ts";

/** What orders recovery points. */
export interface PlacedPoint {
  readonly pointId: string;
  readonly position: Pick<Position, "stream" | "epoch">;
  /** Unix milliseconds of the target's clock. */
  readonly targetTimeMs: number;
}

/**
 * Orders recovery points by their content: clocks may be set back, positions only rise. Two points of one position,
 * which an idle machine has, are ordered by the clock.
 */
export function byPosition(left: PlacedPoint, right: PlacedPoint): number {
  return (
    left.position.stream - right.position.stream ||
    left.position.epoch - right.position.epoch ||
    left.targetTimeMs - right.targetTimeMs ||
    (left.pointId < right.pointId ? -1 : 1)
  );
}
