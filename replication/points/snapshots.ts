import type { ItemContext } from "../items/context.ts";
import type { ProtectedItem } from "../items/item.ts";
import type { DiskSnapshot } from "../ports.ts";
import type { PinnedSnapshot } from "./pins.ts";

/** A snapshot of a target disk that a worker of ours took for a recovery point. */
export interface PointSnapshot extends PinnedSnapshot, DiskSnapshot {
  readonly pointId: string;
}

/** Those of one point, as its deletion needs them. */
export function snapshotsOfPoint(snapshots: readonly PointSnapshot[], pointId: string): readonly PinnedSnapshot[] {
  return snapshots.filter((entry) => entry.pointId === pointId).map(({ stream, diskId, snapshot }) => ({ stream, diskId, snapshot }));
}

/** Those of all disks and of all streams that the item ever had. Snapshots without our metadata are somebody else's, and left out. Never on the hot path. */
export async function listPointSnapshots({ stores }: ItemContext, item: ProtectedItem): Promise<readonly PointSnapshot[]> {
  const { itemId, disks } = item;
  // Without a look at the account for the usual item, which has had one stream.
  const streams = item.stream <= 1 ? [item.stream] : await stores.listStreams(itemId, "target");
  const found: PointSnapshot[] = [];
  for (const stream of streams) {
    for (const { id: diskId } of disks) {
      for (const entry of await stores.snapshots.list({ itemId, stream, diskId })) {
        const { pointId } = entry;
        if (pointId !== undefined) found.push({ ...entry, pointId, stream, diskId });
      }
    }
  }
  return found;
}
