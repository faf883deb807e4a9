import { findManaged } from "../../replication/jobs/managed-item.ts";
import { SECTOR_BYTES } from "../../replication/limits.ts";
import { RESTORES_PREFIX, manifestName } from "../../replication/names.ts";
import type { PointManifest } from "../../replication/points/manifest.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { findItem } from "../../replication/records/item-record.ts";
import { readProgress } from "../../replication/records/progress.ts";
import { textOf } from "../../replication/resources/json.ts";
import { type RestoreRecord, findRestore, isFinished, restoredDisk } from "../../replication/restore/record.ts";
import { markOf } from "./oracle.ts";
import type { ProtectedMachine, World } from "./world.ts";

type Say = (sentence: string) => void;

/** A point is published at the latest by the sweep after the one that finds it. */
const TOLD_WITHIN_MS = 3 * 60_000;
const NEWEST_TOLD_MS = 90_000;
const LANDED_WITHIN_MS = 10_000;

/** The readable restores of an item. */
export async function restoresOf(stores: ItemStores, itemId: string): Promise<readonly RestoreRecord[]> {
  const records = stores.records(itemId);
  const found: RestoreRecord[] = [];
  for (const { name } of await records.list(RESTORES_PREFIX, 1_000)) {
    const stored = await findRestore(records, name.slice(RESTORES_PREFIX.length).replace(/\.json$/, ""));
    if (stored !== undefined) found.push(stored.restore);
  }
  return found;
}

/** A restore under removal goes by itself later, once all requests of its last slice have settled. */
export const isOver = (restore: RestoreRecord): boolean => isFinished(restore) || restore.state === "Removing";

/** A restore that succeeded holds a state that the machine was in, and no older one than its point. */
export async function checkRestores(
  { stores, memory }: World,
  { itemId, source }: ProtectedMachine,
  stateOfPoint: (pointId: string) => number | undefined,
  say: Say,
): Promise<void> {
  for (const restore of await restoresOf(stores, itemId)) {
    const name = `the restore of ${restore.pointId} of ${itemId}`;
    if (!isOver(restore)) say(`${name} is still ${restore.state}`);
    if (restore.state !== "Succeeded") continue;
    const marks = source.disks.map((disk) => {
      const copy = restore.disks.find(({ id }) => id === disk.id);
      const bytes = copy && memory.memory.restoredContent(restoredDisk(restore, copy));
      return Array.from({ length: disk.sizeBytes / SECTOR_BYTES }, (_, at) =>
        bytes === undefined ? undefined : markOf(bytes.subarray(at * SECTOR_BYTES, (at + 1) * SECTOR_BYTES)),
      );
    });
    const state = source.model.find(marks);
    const known = stateOfPoint(restore.pointId);
    if (state === undefined || known === undefined || state < known)
      say(`${name} succeeded, and its disks are not those of the point`);
  }
}

/**
 * In a disaster only the target account is left. A new process of the app, without the source region, must list
 * exactly the points that are in that account.
 */
export async function checkCatalog(
  world: World,
  { itemId }: ProtectedMachine,
  points: () => Promise<readonly PointManifest[]>,
  say: Say,
): Promise<void> {
  if ((await findItem(world.stores, itemId)) === undefined) return;
  const answer = await world.bareRequest("listRecoveryPoints", { params: { item: itemId } });
  const value = (answer.body as { readonly value?: readonly unknown[] } | undefined)?.value ?? [];
  const listed = value
    .filter((point) => textOf(point, "damaged", "code") === undefined)
    .map((point) => textOf(point, "name"));
  const lying = (await points()).map(({ pointId }) => pointId).toReversed();
  if (answer.status !== 200 || listed.join() !== lying.join()) {
    say(
      `the API lists the points ${listed.join(" ")} of ${itemId} (${answer.status}), and those that lie there are ${lying.join(" ")}`,
    );
  }
}

/** Subscribers have been told of each point that still exists, and of the health at the end. */
export async function checkTold(
  { topic, timeline, stores, regionLost }: World,
  { itemId }: ProtectedMachine,
  points: readonly PointManifest[],
  say: Say,
): Promise<void> {
  // The sweep skips items that have failed over or are being disabled.
  const managed = await findManaged(stores, itemId);
  if (managed !== undefined && managed.situation.state !== "Protected") return;
  const nowMs = timeline.now();
  // A point that the progress record does not name yet is published together with the next one. This happens after a
  // repair, or when a worker died before it recorded the point.
  const newest = (await readProgress(stores.records(itemId)))?.progress.lastPoint;
  if (newest === undefined || nowMs - newest.targetTimeMs < NEWEST_TOLD_MS) return;
  // Each item whose cache account is gone delays a sweep by a minute.
  const withinMs = regionLost ? 5 * TOLD_WITHIN_MS : TOLD_WITHIN_MS;
  const bornMs = new Map(
    (await stores.records(itemId).list("points/", 10_000)).map(({ name, createdMs }) => [name, createdMs]),
  );
  for (const { pointId, targetTimeMs } of points) {
    // A manifest that landed late, after points behind it were published, is not published (docs/events.md).
    const isLate = (bornMs.get(manifestName(pointId)) ?? 0) - targetTimeMs > LANDED_WITHIN_MS;
    if (
      !isLate &&
      pointId <= newest.pointId &&
      nowMs - targetTimeMs > withinMs &&
      !topic.heard("Leeward.RecoveryPointCreated", `/${itemId}/recoveryPoints/${pointId}`)
    ) {
      say(`nobody was told of the point ${pointId} of ${itemId}`);
    }
  }
}
