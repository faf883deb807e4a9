import type { DiskSnapshot } from "../ports.ts";
import type { ProtectedItem } from "../records/item.ts";
import type { ItemContext } from "./context.ts";
import type { PointManifest } from "./manifest.ts";
import type { PinnedSnapshot } from "./pins.ts";

/** A snapshot of a target disk that one of our workers took for a recovery point. */
export interface PointSnapshot extends PinnedSnapshot, DiskSnapshot {
  readonly pointId: string;
}

/** The snapshots of one point, as its deletion needs them. */
export function snapshotsOfPoint(snapshots: readonly PointSnapshot[], pointId: string): readonly PinnedSnapshot[] {
  return snapshots
    .filter((entry) => entry.pointId === pointId)
    .map(({ stream, diskId, snapshot }) => ({ stream, diskId, snapshot }));
}

/**
 * The snapshots of all disks and streams that the item has or ever had, as far as its record, its points and the
 * account show. A point whose snapshot is missing here counts as broken. So the record alone does not decide where to
 * search: it may be older than a point of the list, or recreated with other disks. Snapshots without our metadata
 * belong to others and are left out. Never on the hot path.
 */
export async function listPointSnapshots(
  { stores }: ItemContext,
  item: ProtectedItem,
  points: readonly PointManifest[],
): Promise<readonly PointSnapshot[]> {
  const { itemId } = item;
  const diskIds = new Set([item, ...points].flatMap(({ disks }) => disks.map(({ id }) => id)));
  const known = [item, ...points].map(({ stream }) => stream);
  // The usual item has had one stream: no need to list the account.
  const streams = new Set(
    known.every((stream) => stream <= 1) ? known : [...known, ...(await stores.listStreams(itemId, "target"))],
  );
  const found: PointSnapshot[] = [];
  for (const stream of streams) {
    for (const diskId of diskIds) {
      for (const entry of await stores.snapshots.list({ itemId, stream, diskId })) {
        const { pointId } = entry;
        if (pointId !== undefined) found.push({ ...entry, pointId, stream, diskId });
      }
    }
  }
  return found;
}
