import { LeewardError } from "../../replication/errors.ts";
import { samePosition, startPosition } from "../../replication/position.ts";
import type { OpenStream } from "../../replication/records/item.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "../../replication/service/protocol.ts";
import type { Heartbeat } from "../control/heartbeat.ts";
import { isOfStream } from "../epochs/state.ts";
import type { Parts } from "./service-parts.ts";
import type { MobilityStatus, ResynchronizationStatus } from "./status.ts";

function nothingPending({ capture, uploader }: Parts): boolean {
  return capture.log.empty && uploader.waiting === 0 && capture.seeding.done;
}

export async function heartbeatRequest(parts: Parts): Promise<HeartbeatRequest> {
  const { ports, state, capture, uploader, appPoints, currency, session, tokens } = parts;
  const { seeding } = capture;
  const machineId = await parts.machineId();
  const sentMs = ports.clock.now();
  const resynchronization = resynchronizationOf(parts);
  return {
    machineId,
    bootId: ports.bootId,
    sessionId: session.id,
    sentMs,
    clockAheadMs: ports.clock.aheadMs(),
    start: state.current.start,
    uploaded: state.current.uploaded,
    sealed: state.current.sealed,
    currentAtMs: currency(state.current.uploaded, nothingPending(parts), sentMs),
    pendingBytes: capture.log.pendingBytes + uploader.waitingBytes,
    seeding: seeding.done ? undefined : { doneBytes: seeding.doneBytes, totalBytes: seeding.totalBytes },
    resynchronization: resynchronization.state === "none" ? undefined : resynchronization,
    uploadsStopped: uploader.stopped && { code: uploader.stopped.code, message: uploader.stopped.message },
    consistency: appPoints.outcome,
    nextTokenHash: tokens.nextHash(),
  };
}

/** Initial replication is not a resynchronization. */
function resynchronizationOf({ state, capture: { recorder, seeding } }: Parts): ResynchronizationStatus {
  const { doneBytes, totalBytes } = seeding;
  if (recorder.mode.kind === "tracking")
    return { state: "required", reason: recorder.mode.reason, doneBytes, totalBytes };
  const reason = state.current.resynchronizationReason;
  return seeding.done || reason === undefined ? { state: "none" } : { state: "running", reason, doneBytes, totalBytes };
}

/** `soon` brings the next heartbeat forward. */
export function heartbeatAnswered(parts: Parts, answer: HeartbeatAnswer, soon: () => void): void {
  const { state, uploader, identity, appPoints } = parts;
  identity.answered(answer);
  if (answer.consistency !== undefined) appPoints.request(answer.consistency.requestId);
  if (!isOfStream(state.current, answer.start)) return followStream(parts, answer, soon);
  uploader.applied(answer.applied);
  uploader.grant(answer.upload.containerUrl);
  if (answer.resend !== undefined) uploader.resend(answer.resend.epoch);
}

/**
 * The item has another stream open than this state folder: after a repair, or because an earlier life of the item left
 * the folder. Sends no more of the old stream and begins the new one; the heartbeat after that brings the right to
 * upload to it. When it cannot begin now, the next answer tries again.
 */
function followStream(
  { config, disks, capture, uploader, failed }: Parts,
  { stream, start, nonce }: OpenStream,
  soon: () => void,
): void {
  uploader.suspend();
  const descriptions = disks.map((disk) => disk.description);
  if (samePosition(start, startPosition(config.itemId, stream, descriptions, nonce)))
    capture.beginStream(start).then(soon, failed);
  else
    failed(
      new LeewardError("disk-invalid", "The control plane opened a stream of other disks for this item.", { stream }),
    );
}

export function statusOf(parts: Parts, heartbeats: Heartbeat["counts"]): MobilityStatus {
  const { config, ports, state, capture, uploader, identity, appPoints, lag, lastFailure } = parts;
  const { seeding } = capture;
  const memory = process.memoryUsage();
  return {
    version: 1,
    itemId: config.itemId,
    startedMs: parts.startedMs,
    state:
      capture.log.failure !== undefined ? "failed" : uploader.stopped !== undefined ? "uploads-stopped" : "running",
    sealed: state.current.sealed,
    uploaded: state.current.uploaded,
    pendingBytes: capture.log.pendingBytes + uploader.waitingBytes,
    spoolCount: uploader.waiting,
    spoolBytes: uploader.waitingBytes,
    spoolBoundBytes: parts.spoolBoundBytes(),
    mode: capture.recorder.mode.kind,
    dirtyBytes: capture.map.dirtyBytes,
    resynchronization: resynchronizationOf(parts),
    lagMs: lag.now(nothingPending(parts)),
    uploadedCount: uploader.uploadedCount,
    uploadedBytes: uploader.uploadedBytes,
    identity: {
      state: identity.state,
      machineId: parts.machineId.known(),
      bootId: ports.bootId,
      sessionSinceMs: identity.sinceMs,
      grantEndsMs: identity.grantEndsMs,
    },
    heartbeats,
    appPoints: { state: appPoints.state, outcome: appPoints.outcome },
    memory: { rssBytes: memory.rss, heapBytes: memory.heapUsed, externalBytes: memory.external },
    seeding: {
      doneBytes: seeding.doneBytes,
      totalBytes: seeding.totalBytes,
      done: seeding.done,
      timeLeftMs: seeding.timeLeftMs,
    },
    churn: { ...capture.churn },
    lastError: lastFailure(),
    atMs: ports.clock.now(),
  };
}
