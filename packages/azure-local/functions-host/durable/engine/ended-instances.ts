/** How many ended orchestrations are kept, and for how long. */
export interface Retention {
  readonly maxCount: number;
  readonly maxAgeMs: number;
}

/** Ended orchestrations that can still be queried, oldest first. */
export interface EndedInstances {
  /** It ended at `endedMs`, after all added earlier. */
  add(id: string, endedMs: number): void;
  /** It was purged, or its id runs again. */
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
