import type { ItemContext } from "./context.ts";
import type { ProtectedItem } from "../records/item.ts";
import type { DiskSnapshot } from "../ports.ts";
import type { PointManifest } from "./manifest.ts";
import type { PinnedSnapshot } from "./pins.ts";

/** A snapshot of a target disk that a worker of ours took for a recovery point. */
export interface PointSnapshot extends PinnedSnapshot, DiskSnapshot {
  readonly pointId: string;
}

/** Those of one point, as its deletion needs them. */
export function snapshotsOfPoint(snapshots: readonly PointSnapshot[], pointId: string): readonly PinnedSnapshot[] {
  return snapshots
    .filter((entry) => entry.pointId === pointId)
    .map(({ stream, diskId, snapshot }) => ({ stream, diskId, snapshot }));
}

/**
 * Those of all disks and of all streams that the item has or ever had, as far as its record, its points and the account
 * tell. Whoever finds a point's snapshot missing here takes the point for broken: so the record alone does not say
 * where to look, for it may be older than a point of the list, or made anew with other disks. Snapshots without our
 * metadata are somebody else's, and left out. Never on the hot path.
 */
export async function listPointSnapshots(
  { stores }: ItemContext,
  item: ProtectedItem,
  points: readonly PointManifest[],
): Promise<readonly PointSnapshot[]> {
  const { itemId } = item;
  const diskIds = new Set([item, ...points].flatMap(({ disks }) => disks.map(({ id }) => id)));
  const known = [item, ...points].map(({ stream }) => stream);
  // Without a look at the account for the usual item, which has had one stream.
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
