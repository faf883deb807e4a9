/** How many orchestrations that have ended are kept, and for how long. */
export interface Retention {
  readonly maxCount: number;
  readonly maxAgeMs: number;
}

/** The orchestrations that have ended and can still be asked for, the oldest first. */
export interface EndedInstances {
  /** Has ended at `endedMs`, after all that were added before. */
  add(id: string, endedMs: number): void;
  /** Is purged, or lives again under its id. */
  remove(id: string): void;
  /** Those that are too many or too old. */
  beyond(nowMs: number): readonly string[];
}

export function createEndedInstances({ maxCount, maxAgeMs }: Retention): EndedInstances {
  const endings = new Map<string, number>();
  return {
    add(id, endedMs) {
      endings.delete(id);
      endings.set(id, endedMs);
    },
    remove: (id) => void endings.delete(id),
    beyond(nowMs) {
      const gone: string[] = [];
      for (const [id, endedMs] of endings) {
        if (endings.size - gone.length <= maxCount && nowMs - endedMs <= maxAgeMs) break;
        gone.push(id);
      }
      return gone;
    },
  };
}
