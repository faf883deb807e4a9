import { mapConcurrently } from "../concurrency.ts";
import { type LeewardError, hasCode } from "../errors.ts";
import {
  DISK_REQUESTS_IN_FLIGHT,
  RESTORE_COPIES_MAX_TRIES,
  RESTORE_MAX_MS,
  RESTORE_POLL_MS,
  RESTORE_SETTLE_MS,
  RESTORE_STALE_MS,
} from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import { pinPoint, unpinPoint } from "../points/pins.ts";
import type { CopyState } from "../ports.ts";
import {
  type DiskCopy,
  type RestoreError,
  type RestoreRecord,
  type StoredRestore,
  findRestore,
  isFinished,
  readRestore,
  restorePinId,
  restoreRecord,
  restoredDisk,
} from "./record.ts";
import { removeRestore } from "./remove.ts";

/** `again`: put the message back with this delay. `done`: nothing is left to do. */
export type RestoreStep = { readonly kind: "again"; readonly delayMs: number } | { readonly kind: "done" };

/**
 * One step of a restore: starts missing copies, polls running ones, records the result. It keeps no state between
 * calls, so it can be killed at any await and called again, or run twice concurrently (rule 10). A copy counts only
 * when the store reports success. A failed copy is retried a few times, each under another name: a retry under the same
 * name could remove what another slice has finished meanwhile. Errors: `restore-unknown`, `record-corrupt`, and those
 * of the ports, after which the message returns to its queue.
 */
export async function restoreSlice(context: ItemContext, itemId: string, restoreId: string): Promise<RestoreStep> {
  const stored = await readRestore(context.stores.records(itemId), restoreId);
  if (stored.restore.state === "Removing") return removing(await removeRestore(context, itemId, restoreId));
  if (isFinished(stored.restore)) return finish(context, stored.restore);
  const next = await advance(context, stored.restore);
  if (!(await save(context, stored, next))) {
    const now = await findRestore(context.stores.records(itemId), restoreId);
    if (now !== undefined) return { kind: "again", delayMs: RESTORE_POLL_MS };
    // It was removed meanwhile: remove the copies that this slice started.
    for (const disk of next.disks) await context.stores.snapshots.removeRestored(restoredDisk(next, disk));
    return { kind: "done" };
  }
  return isFinished(next) ? finish(context, next) : { kind: "again", delayMs: RESTORE_POLL_MS };
}

function removing({ gone }: { readonly gone: boolean }): RestoreStep {
  return gone ? { kind: "done" } : { kind: "again", delayMs: RESTORE_SETTLE_MS };
}

/** The record after one step, not yet written. */
async function advance(context: ItemContext, restore: RestoreRecord): Promise<RestoreRecord> {
  const nowMs = context.clock.now();
  try {
    if (restore.state === "Pending") {
      // The sweep removes pins whose restore has no record; if the record was written late, the pin is set again here.
      const pin = { pinId: restorePinId(restore.restoreId), reason: "restore", sinceMs: nowMs, untilMs: undefined };
      await pinPoint(context.stores.records(restore.itemId), restore.pointId, pin);
    }
    const disks = await copyDisks(context, restore);
    const failed = disks.find((disk) => disk.state === "failed");
    if (failed !== undefined)
      return { ...restore, disks, state: "Failed", updatedMs: nowMs, error: copyFailed(failed.id, failed.reason) };
    const known: readonly DiskCopy[] = disks.map(({ reason: _reason, ...disk }) => disk);
    if (known.every((disk) => disk.state === "copied"))
      return { ...restore, disks: known, state: "Succeeded", updatedMs: nowMs };
    if (nowMs - restore.createdMs > RESTORE_MAX_MS)
      return { ...restore, disks: known, state: "Failed", updatedMs: nowMs, error: TOO_SLOW };
    return { ...restore, disks: known, state: "InProgress", updatedMs: nowMs };
  } catch (error) {
    if (!hasCode(error, "point-pruned", "point-unknown", "record-corrupt")) throw error;
    return { ...restore, state: "Failed", updatedMs: nowMs, error: errorOf(error) };
  }
}

type LookedAt = DiskCopy & { readonly reason: string };

async function copyDisks(context: ItemContext, restore: RestoreRecord): Promise<readonly LookedAt[]> {
  return mapConcurrently(DISK_REQUESTS_IN_FLIGHT, restore.disks, async (disk) =>
    disk.state === "copied" ? { ...disk, reason: "" } : copyDisk(context, restore, disk),
  );
}

async function copyDisk({ stores }: ItemContext, restore: RestoreRecord, disk: DiskCopy): Promise<LookedAt> {
  const destination = restoredDisk(restore, disk);
  const { snapshots } = stores;
  let found = await snapshots.copyState(destination);
  if (found.kind === "missing") {
    await snapshots.startCopy(
      { itemId: restore.itemId, stream: restore.stream, diskId: disk.id },
      disk.snapshot,
      destination,
    );
    // Copies inside one account often complete at once.
    found = await snapshots.copyState(destination);
  }
  return lookedAt(disk, found);
}

function lookedAt(disk: DiskCopy, found: CopyState): LookedAt {
  switch (found.kind) {
    case "missing":
      return { ...disk, state: "copying", reason: "" };
    case "pending":
      return { ...disk, state: "copying", copiedBytes: found.copiedBytes, totalBytes: found.totalBytes, reason: "" };
    case "success":
      return { ...disk, state: "copied", copiedBytes: disk.totalBytes, reason: "" };
    case "failed": {
      const attempt = (disk.attempt ?? 0) + 1;
      if (attempt >= RESTORE_COPIES_MAX_TRIES) return { ...disk, state: "failed", reason: found.reason };
      return { ...disk, state: "pending", copiedBytes: 0, totalBytes: 0, attempt, reason: "" };
    }
  }
}

/** True if `next` is stored, or only the time would change; false if another slice was faster. */
async function save(context: ItemContext, { restore, etag }: StoredRestore, next: RestoreRecord): Promise<boolean> {
  const same = JSON.stringify({ ...next, updatedMs: 0 }) === JSON.stringify({ ...restore, updatedMs: 0 });
  // The time shows the sweep that the restore makes progress.
  if (same && next.updatedMs - restore.updatedMs < RESTORE_STALE_MS / 2) return true;
  const record = restoreRecord(context.stores.records(restore.itemId), restore.restoreId);
  return (await record.replace(next, etag)) !== undefined;
}

/**
 * Runs after the outcome is recorded: removes the failed copies, or all copies of a failed restore, then unpins the
 * point.
 */
async function finish(context: ItemContext, restore: RestoreRecord): Promise<RestoreStep> {
  for (const disk of restore.disks) {
    const waste = restore.state === "Failed" ? (disk.attempt ?? 0) + 1 : (disk.attempt ?? 0);
    for (let attempt = 0; attempt < waste; attempt += 1) {
      await context.stores.snapshots.removeRestored(restoredDisk(restore, { id: disk.id, attempt }));
    }
  }
  await unpinPoint(context.stores.records(restore.itemId), restore.pointId, restorePinId(restore.restoreId));
  return { kind: "done" };
}

const TOO_SLOW: RestoreError = {
  code: "copy-too-slow",
  message: `The copies did not end within ${RESTORE_MAX_MS / 3_600_000} hours.`,
  hint: "Check the target account for throttling and start the restore again.",
};

function copyFailed(diskId: string, reason: string): RestoreError {
  return {
    code: "copy-failed",
    message: `The copy of disk ${diskId} failed: ${reason}`,
    hint: "The recovery point is unchanged. Start the restore again.",
  };
}

function errorOf({ code, message, hint }: LeewardError): RestoreError {
  return { code, message, hint };
}
