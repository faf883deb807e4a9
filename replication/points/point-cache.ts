import { POINT_CACHE_KEPT_MS, POINT_CACHE_MAX_DISKS } from "../limits.ts";
import type { Clock } from "../ports.ts";
import type { PointRecord } from "./manifest.ts";

/**
 * Manifests that this process has read, so that a sweep reads only those that came or changed since the last one. An
 * entry counts only while the listing shows the blob's etag as it was: a record that was damaged or put back meanwhile
 * is read anew.
 */
export interface PointCache {
  find(itemId: string, pointId: string, etag: string): PointRecord | undefined;
  /**
   * In place of all that was kept of the item. What finds no room is read again the next time; it drives out nothing
   * that others use.
   */
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

/** What a record takes up; a tombstone as much as one disk. */
const disksOf = (record: PointRecord): number => (record.kind === "point" ? record.disks.length : 1);
