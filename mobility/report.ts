import { LeewardError } from "../replication/errors.ts";
import { samePosition, startPosition } from "../replication/position.ts";
import { isOfStream } from "./epochs/state.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "../replication/items/mobility-protocol.ts";
import type { Heartbeat } from "./control/heartbeat.ts";
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

/** Initial replication is none. */
function resynchronizationOf({ state, capture: { recorder, seeding } }: Parts): ResynchronizationStatus {
  const { doneBytes, totalBytes } = seeding;
  if (recorder.mode.kind === "tracking") return { state: "required", reason: recorder.mode.reason, doneBytes, totalBytes };
  const reason = state.current.resynchronizationReason;
  return seeding.done || reason === undefined ? { state: "none" } : { state: "running", reason, doneBytes, totalBytes };
}

/** `begun`: another stream has begun, and its grant is to be had from the next heartbeat, which need not wait. */
export function heartbeatAnswered(parts: Parts, answer: HeartbeatAnswer, begun: () => void): void {
  const { state, capture, uploader, identity, appPoints, failed } = parts;
  identity.answered(answer);
  if (answer.consistency !== undefined) appPoints.request(answer.consistency.requestId);
  if (isOfStream(state.current, answer.start)) return uploader.grant(answer.upload.containerUrl);
  const start = startPosition(state.current.itemId, answer.stream, state.current.disks, answer.nonce);
  if (!samePosition(start, answer.start)) {
    const facts = { openStream: answer.stream };
    return uploader.halt(new LeewardError("disk-invalid", "The control plane has opened a stream for other disks.", facts));
  }
  // An answer that was long on its way names a stream of before.
  if (answer.stream >= state.current.sealed.stream) capture.beginStream(answer.start).then(begun, failed);
}

export function statusOf(parts: Parts, heartbeats: Heartbeat["counts"]): MobilityStatus {
  const { config, ports, state, capture, uploader, identity, appPoints, lag, lastFailure } = parts;
  const { seeding } = capture;
  const memory = process.memoryUsage();
  return {
    version: 1,
    itemId: config.itemId,
    startedMs: parts.startedMs,
    state: capture.log.failure !== undefined ? "failed" : uploader.stopped !== undefined ? "uploads-stopped" : "running",
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
    seeding: { doneBytes: seeding.doneBytes, totalBytes: seeding.totalBytes, done: seeding.done, timeLeftMs: seeding.timeLeftMs },
    churn: { ...capture.churn },
    lastError: lastFailure(),
    atMs: ports.clock.now(),
  };
}
