/**
 * Serialises work on overlapping ranges of one disk, first come first served, so the journal has the order of the disk.
 * Its length is bounded by the requests in flight of all connections.
 */
export interface RangeLock {
  /**
   * No work that is under way or waiting overlaps the range: work that ends before the next turn of the event loop
   * needs no lock.
   */
  isFree(startBytes: number, endBytes: number): boolean;
  /** Waits for every overlapping range requested before; call the result exactly once to release. */
  take(startBytes: number, endBytes: number): Promise<() => void>;
}

interface Entry {
  readonly startBytes: number;
  readonly endBytes: number;
  grant: (() => void) | undefined;
}

export function createRangeLock(): RangeLock {
  /** In order of arrival; those without `grant` hold their range. */
  const entries: Entry[] = [];
  const overlaps = (left: Entry, startBytes: number, endBytes: number): boolean =>
    left.startBytes < endBytes && startBytes < left.endBytes;

  const release = (entry: Entry): void => {
    entries.splice(entries.indexOf(entry), 1);
    for (const [index, waiting] of entries.entries()) {
      if (waiting.grant === undefined) continue;
      const blocked = entries
        .slice(0, index)
        .some((earlier) => overlaps(earlier, waiting.startBytes, waiting.endBytes));
      if (blocked) continue;
      const { grant } = waiting;
      waiting.grant = undefined;
      grant();
    }
  };

  return {
    isFree: (startBytes, endBytes) =>
      entries.length === 0 || !entries.some((entry) => overlaps(entry, startBytes, endBytes)),
    take: async (startBytes, endBytes) => {
      const blocked = entries.some((entry) => overlaps(entry, startBytes, endBytes));
      const entry: Entry = { startBytes, endBytes, grant: undefined };
      entries.push(entry);
      if (blocked) await new Promise<void>((resolve) => (entry.grant = resolve));
      return () => release(entry);
    },
  };
}
