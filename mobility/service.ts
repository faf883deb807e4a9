import { mkdirSync } from "node:fs";
import { LeewardError } from "../replication/errors.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "../replication/items/mobility-protocol.ts";
import { STOP_UPLOAD_MS } from "../replication/limits.ts";
import type { Position } from "../replication/position.ts";
import { pause } from "./back-off.ts";
import { openCapture } from "./capture.ts";
import type { Capture } from "./capture.ts";
import type { MobilityConfig } from "./config.ts";
import { createControlClient } from "./control/control-client.ts";
import { createCurrency } from "./control/currency.ts";
import type { ControlClient } from "./control/control-client.ts";
import { startHeartbeat } from "./control/heartbeat.ts";
import type { Heartbeat } from "./control/heartbeat.ts";
import { bootId, itemToken, machineId } from "./control/identity.ts";
import { registerService, repeatRegistration } from "./control/registration.ts";
import { openDisks } from "./disks/open-disks.ts";
import type { OpenedDisk } from "./disks/open-disks.ts";
import { startSealThread } from "./epochs/seal-thread.ts";
import { createSpoolBound } from "./epochs/spool-bound.ts";
import { releaseReserve } from "./epochs/state.ts";
import type { StateFile } from "./epochs/state.ts";
import { lockFolder } from "./folder-lock.ts";
import { errorFacts } from "./log.ts";
import type { Log } from "./log.ts";
import { startNbdServer } from "./nbd/server.ts";
import type { NbdAddress } from "./nbd/server.ts";
import { openState, stateFolder } from "./open-state.ts";
import type { OpenedState } from "./open-state.ts";
import { createPace } from "./pace.ts";
import { startStatusFile } from "./status.ts";
import type { MobilityStatus, ResynchronizationStatus } from "./status.ts";
import { createTransport } from "./upload/transport.ts";
import type { Transport } from "./upload/transport.ts";
import { startUploader } from "./upload/uploader.ts";
import type { Uploader } from "./upload/uploader.ts";

/** What the service takes from outside, so that tests can hold time, chance and the network. */
export interface MobilityPorts {
  readonly clock: { now(): number };
  readonly random: () => number;
  /** Closed by whoever made it. */
  readonly transport: Transport;
  readonly log: Log;
  /** Changes with every start of the machine. */
  readonly bootId: string;
}

export function systemPorts(log: Log): MobilityPorts {
  return { clock: { now: () => Date.now() }, random: Math.random, transport: createTransport(), log, bootId: bootId() };
}

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

const monotonicMs = (): number => performance.now();

/** What every part of one running service shares. */
interface Base {
  readonly config: MobilityConfig;
  readonly ports: MobilityPorts;
  readonly folder: ReturnType<typeof stateFolder>;
  readonly disks: readonly OpenedDisk[];
  readonly control: ControlClient;
  readonly register: () => Promise<Position>;
  /** Reports a failure that the service survives. */
  readonly failed: (error: unknown) => void;
  readonly lastFailure: () => MobilityStatus["lastError"];
}

/** The running parts, as status, heartbeat and stop see them. */
interface Parts extends Base {
  readonly state: StateFile;
  readonly capture: Capture;
  readonly uploader: Uploader;
  readonly spoolBoundBytes: () => number;
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
  const uploader = startUploader({
    transport: ports.transport,
    control: base.control,
    random: ports.random,
    pace: createPace(config.uploadBytesPerSecond, monotonicMs),
    renew: () => heartbeat?.soon(),
    uploaded: (end) => state.change({ uploaded: end }),
    failed,
  });
  for (const delta of opened.spool) uploader.add(delta);
  const ownBytes = (): number => uploader.waitingBytes + capture.log.pendingBytes;
  const spoolBoundBytes = createSpoolBound(folder.path, config.spoolMaxBytes, ownBytes, monotonicMs);
  const capture: Capture = captureOf(base, opened, uploader, () => spoolBoundBytes());
  undo.push(() => capture.stop());
  // Clients see the disks as the operator listed them; records and deltas number them by id.
  const exports = config.disks.flatMap(({ id }) => capture.volumes.find((volume) => volume.name === id) ?? []);
  const server = await startNbdServer(addresses(config), exports);

  const parts: Parts = { ...base, state, capture, uploader, spoolBoundBytes };
  heartbeat = heartbeatOf(parts);
  const status = (): MobilityStatus => statusOf(parts);
  const statusFile = startStatusFile(folder.status, status, failed);

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await capture.seeding.stop();
    // Requests that wait for a full disk would never end: after a while they are answered with an error, and stay without a record.
    const requests = server.stop();
    if (!(await within(STOP_UPLOAD_MS, requests))) capture.giveUp();
    await requests;
    const clean = await drain(parts);
    offline.abort();
    await heartbeat.stop();
    await uploader.stop();
    if (clean) await state.change({ clean: true });
    statusFile.stop();
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

function openBase(config: MobilityConfig, ports: MobilityPorts, signal: AbortSignal, undo: (() => unknown)[]): Base {
  const folder = stateFolder(config.stateFolder);
  for (const path of [folder.path, folder.journal, folder.spool]) mkdirSync(path, { recursive: true, mode: 0o700 });
  // Lock and state file find room on a full disk too; the state file makes the reserve again.
  releaseReserve(folder.state);
  undo.push(lockFolder(folder.lock));
  const disks = openDisks(config.disks);
  undo.push(() => closeImages(disks));
  const token = itemToken(folder.token);
  const control = createControlClient({ ...config, transport: ports.transport, itemToken: token, signal });
  const { itemId, registrationToken } = config;
  const registration = {
    control,
    itemId,
    itemToken: token,
    registrationToken,
    machineId: config.machineId ?? machineId(),
    bootId: ports.bootId,
    disks: disks.map((disk) => disk.description),
  };
  const failures = recordFailures(ports);
  return { config, ports, folder, disks, control, register: () => registerService(registration), ...failures };
}

function reportOpened({ recovered, seededAgain }: OpenedState, log: Log): void {
  if (recovered.redoneRecords > 0) log("info", "journal-redone", { records: recovered.redoneRecords });
  if (seededAgain !== undefined) log("warning", "reading-again", { reason: seededAgain });
}

function captureOf(
  { config, ports, folder, disks, failed }: Base,
  opened: OpenedState,
  uploader: Uploader,
  spoolBoundBytes: () => number,
): Capture {
  return openCapture({
    thread: startSealThread(),
    spool: () => ({ count: uploader.waiting, bytes: uploader.waitingBytes }),
    spoolBoundBytes,
    seedPace: createPace(config.seedBytesPerSecond, monotonicMs),
    monotonicMs,
    modeChanged: (mode) => {
      if (mode.kind === "tracking") ports.log("warning", "resynchronization-required", { reason: mode.reason });
      else ports.log("info", "resynchronization-running");
    },
    disks,
    opened,
    journalFolder: folder.journal,
    spoolFolder: folder.spool,
    epochMaxAgeMs: config.epochMaxAgeMs,
    now: () => ports.clock.now(),
    random: ports.random,
    sealed: (delta) => {
      ports.log("info", "epoch-sealed", { epoch: delta.end.epoch, lengthBytes: delta.lengthBytes });
      uploader.add(delta);
    },
    failed,
  });
}

function heartbeatOf(parts: Parts): Heartbeat {
  const { config, control, ports, failed, register } = parts;
  const currency = createCurrency();
  return startHeartbeat({
    control,
    intervalMs: config.heartbeatMs,
    random: ports.random,
    report: () => heartbeatRequest(parts, currency),
    answered: (answer) => heartbeatAnswered(parts, answer),
    failed,
    unauthorized: async () => {
      if (config.registrationToken !== undefined) await register();
    },
  });
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

function heartbeatRequest(parts: Parts, currency: ReturnType<typeof createCurrency>): HeartbeatRequest {
  const { ports, state, capture, uploader } = parts;
  const { seeding } = capture;
  const sentMs = ports.clock.now();
  const resynchronization = resynchronizationOf(parts);
  const nothingPending = capture.log.empty && uploader.waiting === 0 && seeding.done;
  return {
    bootId: ports.bootId,
    sentMs,
    uploaded: state.current.uploaded,
    currentAtMs: currency(state.current.uploaded, nothingPending, sentMs),
    pendingBytes: capture.log.pendingBytes + uploader.waitingBytes,
    seeding: seeding.done ? undefined : { doneBytes: seeding.doneBytes, totalBytes: seeding.totalBytes },
    resynchronization: resynchronization.state === "none" ? undefined : resynchronization,
  };
}

/** Initial replication is none. */
function resynchronizationOf({ state, capture: { recorder, seeding } }: Parts): ResynchronizationStatus {
  const { doneBytes, totalBytes } = seeding;
  if (recorder.mode.kind === "tracking") return { state: "required", reason: recorder.mode.reason, doneBytes, totalBytes };
  const reason = state.current.resynchronizationReason;
  return seeding.done || reason === undefined ? { state: "none" } : { state: "running", reason, doneBytes, totalBytes };
}

function heartbeatAnswered({ state, uploader }: Parts, answer: HeartbeatAnswer): void {
  const ownStream = state.current.sealed.stream;
  if (answer.stream === ownStream) uploader.grant(answer.upload.containerUrl);
  else if (uploader.stopped === undefined) {
    const facts = { ownStream, openStream: answer.stream };
    uploader.halt(new LeewardError("stream-closed", "The control plane opened another stream for this item.", facts));
  }
}

function statusOf(parts: Parts): MobilityStatus {
  const { config, ports, state, capture, uploader, lastFailure } = parts;
  const { seeding } = capture;
  return {
    version: 1,
    itemId: config.itemId,
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
    uploadedBytes: uploader.uploadedBytes,
    seeding: { doneBytes: seeding.doneBytes, totalBytes: seeding.totalBytes, done: seeding.done, timeLeftMs: seeding.timeLeftMs },
    churn: { ...capture.churn },
    lastError: lastFailure(),
    atMs: ports.clock.now(),
  };
}

/** Failures that the service survives: logged, and the last one is shown in the status. */
function recordFailures(ports: MobilityPorts): Pick<Base, "failed" | "lastFailure"> {
  let last: MobilityStatus["lastError"];
  return {
    failed: (error) => {
      const facts = errorFacts(error);
      last = { atMs: ports.clock.now(), code: String(facts["code"]), message: String(facts["message"]) };
      ports.log("warning", "failed", facts);
    },
    lastFailure: () => last,
  };
}

function addresses({ nbd }: MobilityConfig): readonly NbdAddress[] {
  return [
    ...(nbd.socketPath === undefined ? [] : [{ kind: "unix" as const, path: nbd.socketPath }]),
    ...(nbd.port === undefined ? [] : [{ kind: "tcp" as const, host: "127.0.0.1", port: nbd.port }]),
  ];
}

function closeImages(disks: readonly OpenedDisk[]): void {
  for (const { image } of disks) image.close();
}
