import { LeewardError } from "../errors.ts";
import { RESTORE_KEPT_MS } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import type { RestoredDisk } from "../ports.ts";
import type { Position } from "../position.ts";
import { requireItem } from "../records/item-record.ts";
import {
  type DiskCopy,
  type RestoreError,
  type RestoreRecord,
  type RestoreState,
  isFinished,
  readRestore,
  restoredDisk,
} from "./record.ts";

/** A restore as the API shows it. Times are Unix milliseconds. */
export interface RestoreStatus {
  readonly restoreId: string;
  readonly itemId: string;
  readonly pointId: string;
  readonly position: Position;
  readonly sourceTimeMs: number;
  readonly state: RestoreState;
  /** 0 to 100; 100 only when the restore succeeded. */
  readonly percentComplete: number;
  readonly disks: readonly RestoredDiskStatus[];
  readonly createdMs: number;
  readonly updatedMs: number;
  /** When its blobs are removed; undefined while it runs or is being removed. */
  readonly expiresMs: number | undefined;
  readonly error: RestoreError | undefined;
}

interface RestoredDiskStatus extends DiskCopy {
  /** The plain address of the page blob, without any credential; undefined until the restore succeeded. */
  readonly url: string | undefined;
}

/** Errors: `item-unknown`, `restore-unknown`, `record-corrupt`. */
export async function restoreStatus(context: ItemContext, itemId: string, restoreId: string): Promise<RestoreStatus> {
  await requireItem(context.stores, itemId);
  const { restore } = await readRestore(context.stores.records(itemId), restoreId);
  const { pointId, position, sourceTimeMs, state, createdMs, updatedMs, error } = restore;
  const urlOf = (disk: DiskCopy): Promise<string> => context.stores.snapshots.restoredUrl(restoredDisk(restore, disk));
  const disks = await Promise.all(
    restore.disks.map(async (disk) => ({ ...disk, url: state === "Succeeded" ? await urlOf(disk) : undefined })),
  );
  const percentComplete = percentOf(restore);
  const expiresMs = isFinished(restore) ? updatedMs + RESTORE_KEPT_MS : undefined;
  return {
    restoreId,
    itemId,
    pointId,
    position,
    sourceTimeMs,
    state,
    percentComplete,
    disks,
    createdMs,
    updatedMs,
    expiresMs,
    error,
  };
}

/**
 * The finished blobs, for granting access to them. Errors: those of `restoreStatus`, and `conflict` while the restore
 * is not done.
 */
export async function restoredDisks(
  context: ItemContext,
  itemId: string,
  restoreId: string,
): Promise<readonly RestoredDisk[]> {
  const { state, disks } = await restoreStatus(context, itemId, restoreId);
  if (state === "Succeeded") return disks.map(({ id, attempt }) => ({ itemId, restoreId, diskId: id, attempt }));
  throw new LeewardError(
    "conflict",
    `The restore is ${state}.`,
    { restoreId, state },
    { hint: "Ask for the state of the restore and come back when it says Succeeded." },
  );
}

/** Weighted by disk size; the completed part of a running copy counts. */
function percentOf({ state, disks }: RestoreRecord): number {
  if (state === "Succeeded") return 100;
  const allBytes = disks.reduce((sum, disk) => sum + disk.sizeBytes, 0);
  const doneBytes = disks.reduce((sum, disk) => sum + disk.sizeBytes * doneShare(disk), 0);
  return allBytes === 0 ? 0 : Math.min(99, Math.floor((doneBytes * 100) / allBytes));
}

function doneShare(disk: DiskCopy): number {
  if (disk.state === "copied") return 1;
  return disk.totalBytes === 0 ? 0 : Math.min(1, disk.copiedBytes / disk.totalBytes);
}
