import { mapConcurrently } from "../concurrency.ts";
import { LeewardError, invariant } from "../errors.ts";
import { DISK_REQUESTS_IN_FLIGHT } from "../limits.ts";
import { manifestName } from "../names.ts";
import { encodePoint, makePointId, type PointManifest } from "../points/manifest.ts";
import { pointDue, pointReason, type PointDecision } from "../points/point-due.ts";
import type { PointWanted } from "../points/point-wanted.ts";
import type { TargetDisk } from "../ports.ts";
import { isBoundary } from "../records/progress.ts";
import { readHeartbeat } from "../service/heartbeat.ts";
import { whileBusy } from "./busy.ts";
import { targetDisks, type Claim } from "./claim.ts";
import { isStreamOpen } from "./open-stream.ts";

/**
 * Takes a recovery point if one is due ("marked" covers only a point that the delta applied last is meant for; `wanted`
 * is the point that a failover waits for). Returns its manifest. Errors: `fenced`, `outcome-unknown` and `conflict`:
 * after the last two the caller claims a new generation (rule 3).
 */
export async function takeDuePoint(
  claim: Claim,
  which: "any" | "marked",
  wanted?: PointWanted,
): Promise<PointManifest | undefined> {
  const { open } = claim;
  const { policy } = open.item;
  const progress = claim.progress();
  const nowMs = open.context.clock.now();
  const reason = pointReason(policy, progress, nowMs, wanted);
  if (reason === undefined || (which === "marked" && reason !== "marked")) return undefined;
  const decision = pointDue({
    policy,
    progress,
    heartbeat: await readHeartbeat(open.context.stores, open.item.itemId),
    nowMs,
    wanted,
  });
  // A point of a closed stream would stay behind its failover for ever.
  return decision.kind === "due" && (await isStreamOpen(open)) ? takePoint(claim, decision) : undefined;
}

/**
 * Why every disk shows exactly the applied position (rule 1), and all of them the same (rule 2):
 * - `applied` equals `intent`, and every write of this claim succeeded; there was no unknown outcome, or the claim
 *   would have ended.
 * - A disk whose sequence number is our generation takes no write of an older one. A newer worker raises **all** disks
 *   before it writes any, and raising changes the etag. So a snapshot that matches the etag read together with our own
 *   generation holds what we left there.
 * - The manifest comes last and create-only: before it there is no point, after it nothing changes. How late it lands
 *   does not matter, unless the sweep has given up the snapshots meanwhile: then its tombstone has the name, and no
 *   point is created.
 */
async function takePoint(
  claim: Claim,
  due: Extract<PointDecision, { readonly kind: "due" }>,
): Promise<PointManifest | undefined> {
  const { open, generation } = claim;
  const { item, context } = open;
  const progress = claim.progress();
  invariant(isBoundary(progress) && !progress.seeding, "points are taken at a boundary only", {
    applied: progress.applied.epoch,
  });
  await claim.keep();
  const { stream, applied: position } = progress;
  // A generation belongs to one claim, and a claim does not take two points of one position at the same time.
  const pointId = makePointId(
    due.targetTimeMs,
    `${item.itemId}/${stream}/${generation}/${position.epoch}/${due.targetTimeMs}`,
  );
  const snapshots = await snapshotAll(claim, pointId);
  const manifest: PointManifest = {
    version: 1,
    kind: "point",
    pointId,
    itemId: item.itemId,
    stream,
    position,
    sourceTimeMs: due.sourceTimeMs,
    skewMs: due.skewMs,
    targetTimeMs: due.targetTimeMs,
    consistency: progress.consistency,
    generation,
    disks: item.disks.map((disk) => {
      const snapshot = snapshots.get(disk.id);
      invariant(snapshot !== undefined, "a point names a snapshot for every disk", { disk: disk.id });
      return { id: disk.id, sizeBytes: disk.sizeBytes, sectorSizeBytes: disk.sectorSizeBytes, snapshot };
    }),
  };
  const created = await whileBusy(context, {
    send: () => open.records.create(manifestName(pointId), encodePoint(manifest)),
    untilMs: () => claim.progress().expiresMs,
  });
  if (created === undefined) {
    context.log({ kind: "point-name-taken", itemId: item.itemId, generation, pointId });
    return undefined;
  }
  claim.notePoint({
    pointId,
    stream,
    epoch: position.epoch,
    targetTimeMs: due.targetTimeMs,
    sourceTimeMs: due.sourceTimeMs,
  });
  context.log({
    kind: "point-taken",
    itemId: item.itemId,
    generation,
    pointId,
    epoch: position.epoch,
    reason: due.reason,
  });
  return manifest;
}

async function snapshotAll(claim: Claim, pointId: string): Promise<ReadonlyMap<string, string>> {
  const snapshots = await mapConcurrently(
    DISK_REQUESTS_IN_FLIGHT,
    targetDisks(claim.open),
    async (disk) => [disk.diskId, await snapshotOwn(claim, disk, pointId)] as const,
  );
  return new Map(snapshots);
}

/** Snapshots one disk exactly as this worker left it. */
async function snapshotOwn(claim: Claim, disk: TargetDisk, pointId: string): Promise<string> {
  const { generation } = claim;
  const port = claim.open.context.stores.disks;
  const found = await port.properties(disk);
  if (found === undefined)
    throw new LeewardError("internal", `The target disk ${disk.diskId} is missing.`, { disk: disk.diskId });
  if (found.sequenceNumber !== generation) {
    const facts = { disk: disk.diskId, generation, found: found.sequenceNumber };
    throw new LeewardError("fenced", `Disk ${disk.diskId} belongs to another generation.`, facts);
  }
  const { etag } = found;
  const snapshot = await whileBusy(claim.open.context, {
    send: () => port.snapshot(disk, etag, pointId),
    untilMs: () => claim.progress().expiresMs,
  });
  if (snapshot === undefined) {
    // Either a newer worker, or a late request of an older one that raised nothing: claiming again shows which.
    throw new LeewardError("conflict", `Disk ${disk.diskId} changed while its point was taken.`, {
      disk: disk.diskId,
      generation,
    });
  }
  return snapshot;
}
