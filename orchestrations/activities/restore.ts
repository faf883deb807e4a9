import { LeewardError } from "../../replication/errors.ts";
import { changeJob } from "../../replication/jobs/job-record.ts";
import { choosePointOf } from "../../replication/jobs/job.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import type { FlowContext } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import { readCatalog } from "../../replication/points/catalog.ts";
import {
  type ApplyProgress,
  type LatestTarget,
  choosePoint,
  latestTarget,
} from "../../replication/points/choose-point.ts";
import { wantPoint } from "../../replication/points/point-wanted.ts";
import { isBoundary } from "../../replication/records/progress.ts";
import { changeLedger } from "../../replication/resources/ledger-record.ts";
import { forgetEntry, intend, restoredEntryId } from "../../replication/resources/ledger.ts";
import { type Walk, failoverWalk } from "../../replication/resources/walk.ts";
import { findRestore, readRestore, restoreIdOf, restoredDisk } from "../../replication/restore/record.ts";
import { removeRestore } from "../../replication/restore/remove.ts";
import { restoreSlice } from "../../replication/restore/slice.ts";
import { startRestore } from "../../replication/restore/start.ts";
import { findProgress, readHeartbeat } from "../../replication/service/heartbeat.ts";
import { itemDisks } from "./item-disks.ts";

/**
 * What a failover to the latest state waits for: fixed at its beginning, so that a source that keeps writing cannot
 * delay it.
 */
export async function fixLatest({ stores, clock }: FlowContext, { itemId }: FlowRun): Promise<LatestTarget> {
  const heartbeat = await readHeartbeat(stores, itemId);
  return latestTarget(await findProgress(stores, itemId), heartbeat?.uploaded, clock.now());
}

export type PointAnswer =
  | { readonly kind: "chosen"; readonly pointId: string }
  /** The position is not reached, or its point is not taken yet. */
  | { readonly kind: "wait" };

/**
 * Requests a missing point again with every poll, because hints may be lost. Errors: `point-unknown`, `point-pruned`,
 * `record-corrupt` for a damaged point that was requested by its id.
 */
export async function lookPoint(
  { stores, clock, queue }: FlowContext,
  { itemId }: FlowRun,
  { latest }: { readonly latest: LatestTarget },
): Promise<PointAnswer> {
  const { running } = await readManaged(stores, itemId);
  const request = running?.failover?.point ?? { kind: "Latest" };
  const { points, pins, damagedManifests, damagedPins } = await readCatalog(stores.records(itemId));
  const asked = request.kind === "Custom" ? damagedManifests.get(request.pointId) : undefined;
  if (asked !== undefined) throw asked;
  const choosable = points.map((point) => ({
    ...point,
    deleting: pins.get(point.pointId)?.state === "deleting",
    damaged: damagedPins.get(point.pointId),
  }));
  const progress = await findProgress(stores, itemId);
  const applied: ApplyProgress | undefined = progress && {
    applied: progress.applied,
    boundary: isBoundary(progress),
    seeding: progress.seeding,
    stopped: progress.stopped !== undefined,
  };
  const choice = choosePoint(request, choosable, applied, latest, clock.now());
  switch (choice.kind) {
    case "refused":
      throw choice.error;
    case "point":
      return { kind: "chosen", pointId: choice.pointId };
    case "take-point":
      await wantPoint(stores.records(itemId), latest.position);
      await queue.send({ kind: "hint", itemId }, 0);
      return { kind: "wait" };
    case "wait":
      return { kind: "wait" };
  }
}

/**
 * Pins the point and begins the copies. The restore is named after the job, so that a second run gives the same one.
 */
export async function beginRestore(
  context: FlowContext,
  { itemId, jobId }: FlowRun,
  { pointId }: { readonly pointId: string },
): Promise<void> {
  const { stores, clock } = context;
  await changeJob(stores, itemId, jobId, (job) => choosePointOf(job, pointId));
  const restoreId = restoreIdOf(itemId, jobId);
  const blobs = { id: restoredEntryId(restoreId), kind: "restored-blobs", role: "failover" } as const;
  await changeLedger(stores, itemId, (ledger) => intend(ledger, [blobs], jobId, clock.now()));
  const begun = await findRestore(stores.records(itemId), restoreId);
  if (begun === undefined) await startRestore(context, itemId, pointId, jobId);
}

/** One slice of the copies. Errors: what ended the restore. */
export async function lookRestore(
  context: FlowContext,
  { itemId, jobId }: FlowRun,
): Promise<{ readonly done: boolean }> {
  const restoreId = restoreIdOf(itemId, jobId);
  const step = await restoreSlice(context, itemId, restoreId);
  if (step.kind === "again") return { done: false };
  const { restore } = await readRestore(context.stores.records(itemId), restoreId);
  if (restore.state === "Succeeded") return { done: true };
  const { code, message, hint } = restore.error ?? {
    code: "unknown",
    message: "The copies of the disks failed.",
    hint: "Fail over again.",
  };
  throw new LeewardError("azure-refused", `${code}: ${message}`, { restoreId }, { hint });
}

/** The machine on the disks that this job restored. */
export async function restoredWalk(context: FlowContext, run: FlowRun, plan: TargetPlan): Promise<Walk> {
  const restoreId = restoreIdOf(run.itemId, run.jobId);
  const { restore } = await readRestore(context.stores.records(run.itemId), restoreId);
  const restored = restore.state === "Succeeded" ? restore.disks : [];
  const urls = await Promise.all(
    itemDisks(plan).flatMap(({ id, sourceId }) =>
      restored
        .filter((disk) => disk.id === id)
        .map(async (disk) => [
          sourceId.toLowerCase(),
          await context.stores.snapshots.restoredUrl(restoredDisk(restore, disk)),
        ]),
    ),
  );
  return failoverWalk(plan, run, { storageAccountId: plan.targetAccount.id, urls: Object.fromEntries(urls) });
}

/** The page blobs from which the disks were made are not needed once the machine runs. */
export async function removeRestored(context: FlowContext, { itemId, jobId }: FlowRun): Promise<void> {
  const restoreId = restoreIdOf(itemId, jobId);
  await removeRestore(context, itemId, restoreId);
  await changeLedger(context.stores, itemId, (ledger) => forgetEntry(ledger, restoredEntryId(restoreId)));
}
