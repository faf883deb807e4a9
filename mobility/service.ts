import { LeewardError } from "../replication/errors.ts";
import { STOP_UPLOAD_MS } from "../replication/limits.ts";
import type { Position } from "../replication/position.ts";
import { pause } from "./back-off.ts";
import type { Capture } from "./capture.ts";
import type { MobilityConfig } from "./config.ts";
import { createCurrency } from "./control/currency.ts";
import { startHeartbeat } from "./control/heartbeat.ts";
import type { Heartbeat } from "./control/heartbeat.ts";
import { repeatRegistration } from "./control/registration.ts";
import { createSpoolBound } from "./epochs/spool-bound.ts";
import { startNbdServer } from "./nbd/server.ts";
import { openState } from "./open-state.ts";
import { monotonicMs } from "./ports.ts";
import type { MobilityPorts } from "./ports.ts";
import { heartbeatAnswered, heartbeatRequest, statusOf } from "./report.ts";
import { addresses, appPointsOf, captureOf, identityOf, openBase, reportOpened, uploaderOf } from "./service-parts.ts";
import type { Parts } from "./service-parts.ts";
import { startStatusSocket } from "./status-socket.ts";
import { startStatusFile } from "./status.ts";
import type { MobilityStatus } from "./status.ts";

export interface MobilityService {
  readonly socketPath: string | undefined;
  /** The TCP port, if TCP is served. */
  readonly port: number | undefined;
  status(): MobilityStatus;
  /** Closes the epoch. The position of the last sealed delta: it holds every write answered before the call. Throws `capture-failed`. */
  cut(): Promise<Position>;
  /** Reads all disks again, and takes no recovery point meanwhile (`repairReplication`). A request id that was obeyed last changes nothing. */
  resynchronize(requestId: string): Promise<void>;
  /** Stops NBD, seals what is recorded, tries for a short while to upload it, and lets go of everything. */
  stop(): Promise<void>;
}

/**
 * Serves the configured disks over NBD and replicates them. Returns when clients can connect: at once where the state folder knows the stream, else after
 * the first registration. Throws `configuration-invalid`, `disk-invalid`, `port-in-use`, `state-locked`, `state-corrupt`, or the refusal of the registration.
 */
export async function startMobility(config: MobilityConfig, ports: MobilityPorts): Promise<MobilityService> {
  // How to undo what has been opened so far, should the start fail half-way.
  const undo: (() => unknown)[] = [];
  try {
    return await start(config, ports, undo);
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
}

async function start(config: MobilityConfig, ports: MobilityPorts, undo: (() => unknown)[]): Promise<MobilityService> {
  const offline = new AbortController();
  const base = openBase(config, ports, offline.signal, undo);
  const { folder, failed } = base;
  const opened = await openState({
    folder,
    itemId: config.itemId,
    disks: base.disks,
    bootId: ports.bootId,
    register: () => repeatRegistration(base.register, ports.random, failed),
  });
  reportOpened(opened, ports.log);
  const { state } = opened;

  let heartbeat: Heartbeat | undefined;
  const soon = (): void => heartbeat?.soon();
  const uploader = uploaderOf(base, state, soon);
  for (const delta of opened.spool) uploader.add(delta);
  const identity = identityOf(base, uploader, soon);
  const spoolBoundBytes = createSpoolBound({
    folder: folder.path,
    maxBytes: config.spoolMaxBytes,
    ownBytes: () => uploader.waitingBytes + capture.log.pendingBytes,
    unsealedBytes: () => capture.log.pendingBytes,
    monotonicMs,
  });
  const capture: Capture = captureOf(base, opened, uploader, identity, () => spoolBoundBytes());
  undo.push(() => capture.stop());
  // Clients see the disks as the operator listed them; records and deltas number them by id.
  const exports = config.disks.flatMap(({ id }) => capture.volumes.find((volume) => volume.name === id) ?? []);
  const server = await startNbdServer(addresses(config), exports);

  const appPoints = appPointsOf(base, capture, soon);
  const parts: Parts = { ...base, state, capture, uploader, identity, appPoints, currency: createCurrency(), spoolBoundBytes };
  heartbeat = heartbeatOf(parts);
  const status = (): MobilityStatus => statusOf(parts, heartbeat?.counts ?? { sent: 0, answered: 0 });
  const statusFile = startStatusFile(folder.status, status, failed);
  const statusSocket = await startStatusSocket(folder.statusSocket, status, (reason) => {
    ports.log("warning", "status-socket-unavailable", { reason });
  });

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await capture.seeding.stop();
    // What is still frozen then is thawed by the next start.
    await within(STOP_UPLOAD_MS, appPoints.stop());
    // Requests that wait for a full disk would never end: after a while they are answered with an error, and stay without a record.
    const requests = server.stop();
    if (!(await within(STOP_UPLOAD_MS, requests))) capture.giveUp();
    await requests;
    const clean = await drain(parts);
    offline.abort();
    await heartbeat.stop();
    await uploader.stop();
    await endSession(parts);
    if (clean) await state.change({ clean: true });
    statusFile.stop();
    statusSocket.stop();
    for (const step of undo.toReversed()) await step();
  };
  return {
    socketPath: config.nbd.socketPath,
    port: server.port,
    status,
    cut: () => cut(parts),
    resynchronize: (requestId) => capture.recorder.resynchronize("requested", requestId),
    stop: () => (stopped ??= stop()),
  };
}

function heartbeatOf(parts: Parts): Heartbeat {
  const { config, control, ports, identity, failed } = parts;
  return startHeartbeat({
    control,
    intervalMs: config.heartbeatMs,
    random: ports.random,
    report: () => heartbeatRequest(parts),
    answered: (answer) => heartbeatAnswered(parts, answer),
    failed,
    refused: (error) => identity.refused(error),
  });
}

/** Tells the control plane that the next service need not wait. Should it not hear it, the next one waits until the lease is over. */
async function endSession(parts: Parts): Promise<void> {
  if (parts.identity.state !== "granted") return;
  // First: a start that reads the file would take up a session that may be over.
  parts.session.over();
  try {
    await parts.lastCalls().heartbeat({ ...(await heartbeatRequest(parts)), ended: true });
  } catch (error) {
    parts.failed(error);
  }
}

/** Everything recorded is sealed and, if the network allows, uploaded. True when nothing is left in the journal and images and dirty map are on the medium. */
async function drain({ capture, uploader, failed }: Parts): Promise<boolean> {
  const { log, recorder, sealer } = capture;
  try {
    if (log.failure === undefined) log.cut();
    await within(
      STOP_UPLOAD_MS,
      sealer.idle().then(() => uploader.drained(STOP_UPLOAD_MS)),
    );
    await recorder.stop();
    await capture.settle();
  } catch (error) {
    failed(error);
    return false;
  }
  return log.failure === undefined && log.empty;
}

/** Waits for the work, but no longer than this; true when it is done. The work itself goes on. */
async function within(waitMs: number, work: Promise<void>): Promise<boolean> {
  const timer = new AbortController();
  const done = await Promise.race([work.then(() => true), pause(waitMs, timer.signal).then(() => false)]);
  timer.abort();
  return done;
}

async function cut({ capture, state }: Parts): Promise<Position> {
  if (capture.log.failure !== undefined) throw capture.log.failure;
  if (capture.recorder.mode.kind === "tracking") {
    const { reason } = capture.recorder.mode;
    throw new LeewardError("resynchronization-required", "The guest's writes are not recorded now: there is no position that holds them.", {
      reason,
    });
  }
  capture.log.cut();
  await capture.sealer.idle();
  return state.current.sealed;
}
