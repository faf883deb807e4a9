import type { Position } from "../position.ts";

/** What orders recovery points. */
export interface PlacedPoint {
  readonly pointId: string;
  readonly position: Pick<Position, "stream" | "epoch">;
  /** Unix milliseconds of the target's clock. */
  readonly targetTimeMs: number;
}

/**
 * The order in which recovery points follow each other: that of their content. Clocks are set, positions only rise; of
 * two points of one position, which an idle machine has, the clock decides.
 */
export function byPosition(left: PlacedPoint, right: PlacedPoint): number {
  return (
    left.position.stream - right.position.stream ||
    left.position.epoch - right.position.epoch ||
    left.targetTimeMs - right.targetTimeMs ||
    (left.pointId < right.pointId ? -1 : 1)
  );
}
