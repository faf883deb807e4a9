import type { Position } from "../../replication/position.ts";

/** How far the cache is behind the guest: the age of the oldest moment whose writes are not all in it. */
export interface Lag {
  sealed(end: Position, lastWriteMs: number): void;
  uploaded(end: Position): void;
  /** Another stream begins: its lag is unknown. */
  restart(): void;
  /** Milliseconds; 0 while nothing waits, undefined while nothing is known since the start. */
  now(nothingPending: boolean): number | undefined;
}

/**
 * Reads the clock of the service; remembers waiting deltas with the time of their last write, until they are uploaded.
 */
export function createLag(now: () => number): Lag {
  const lastWrites = new Map<number, number>();
  let coveredMs: number | undefined;
  const covered = (atMs: number): void => {
    // A time in the future was read while the clock was wrong: lag behind it would not show for years.
    coveredMs = Math.max(Math.min(coveredMs ?? 0, now()), Math.min(atMs, now()));
  };
  return {
    sealed: ({ epoch }, lastWriteMs) => void lastWrites.set(epoch, lastWriteMs),
    uploaded: (end) => {
      for (const [epoch, lastWriteMs] of lastWrites) {
        if (epoch > end.epoch) continue;
        covered(lastWriteMs);
        lastWrites.delete(epoch);
      }
    },
    restart: () => {
      lastWrites.clear();
      coveredMs = undefined;
    },
    now: (nothingPending) => {
      const nowMs = now();
      if (nothingPending) covered(nowMs);
      return nothingPending ? 0 : coveredMs === undefined ? undefined : Math.max(0, nowMs - coveredMs);
    },
  };
}
