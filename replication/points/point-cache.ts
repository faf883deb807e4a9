import { POINT_CACHE_KEPT_MS, POINT_CACHE_MAX_DISKS } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { PointRecord } from "./manifest.ts";

/**
 * Manifests that this process has read, so that a sweep reads only those that are new or changed since the last one. An
 * entry counts only while the listing shows the same etag: a record that was damaged or restored meanwhile is read
 * again.
 */
export interface PointCache {
  find(itemId: string, pointId: string, etag: string): PointRecord | undefined;
  /** Replaces all entries of the item. Those that do not fit are read again next time; they evict no entries in use. */
  keep(itemId: string, records: readonly CachedPoint[]): void;
}

export interface CachedPoint {
  readonly etag: string;
  readonly record: PointRecord;
}

interface Kept {
  readonly points: ReadonlyMap<string, CachedPoint>;
  readonly disks: number;
  readonly usedMs: number;
}

export function createPointCache(clock: Clock): PointCache {
  const items = new Map<string, Kept>();
  let disks = 0;
  const drop = (itemId: string): void => {
    disks -= items.get(itemId)?.disks ?? 0;
    items.delete(itemId);
  };
  return {
    find: (itemId, pointId, etag) => {
      const kept = items.get(itemId)?.points.get(pointId);
      return kept?.etag === etag ? kept.record : undefined;
    },
    keep: (itemId, records) => {
      drop(itemId);
      const nowMs = clock.now();
      for (const [other, { usedMs }] of items) if (Math.abs(nowMs - usedMs) > POINT_CACHE_KEPT_MS) drop(other);
      const wanted = records.reduce((sum, { record }) => sum + disksOf(record), 0);
      if (disks + wanted > POINT_CACHE_MAX_DISKS) return;
      disks += wanted;
      items.set(itemId, {
        points: new Map(records.map((each) => [each.record.pointId, each])),
        disks: wanted,
        usedMs: nowMs,
      });
    },
  };
}

/** The space that a record takes; a tombstone counts as one disk. */
const disksOf = (record: PointRecord): number => (record.kind === "point" ? record.disks.length : 1);
