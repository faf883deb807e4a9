import { mkdirSync } from "node:fs";
import { LeewardError } from "../replication/errors.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "../replication/items/mobility-protocol.ts";
import { SESSION_END_MS, STOP_UPLOAD_MS } from "../replication/limits.ts";
import type { Position } from "../replication/position.ts";
import { pause } from "./back-off.ts";
import { openCapture } from "./capture.ts";
import type { Capture } from "./capture.ts";
import type { MobilityConfig } from "./config.ts";
import { startAppPoints } from "./consistency/app-points.ts";
import type { AppPoints } from "./consistency/app-points.ts";
import { createControlClient } from "./control/control-client.ts";
import { createCurrency } from "./control/currency.ts";
import type { ControlClient } from "./control/control-client.ts";
import { startHeartbeat } from "./control/heartbeat.ts";
import type { Heartbeat } from "./control/heartbeat.ts";
import { createIdentity } from "./control/identity.ts";
import type { Identity } from "./control/identity.ts";
import { openItemTokens } from "./control/item-tokens.ts";
import type { ItemTokens } from "./control/item-tokens.ts";
import { bootId, machineIdentity } from "./control/machine.ts";
import type { MachineIdentity } from "./control/machine.ts";
import { registerService, repeatRegistration } from "./control/registration.ts";
import { openSession } from "./control/session-file.ts";
import { openDisks } from "./disks/open-disks.ts";
import type { OpenedDisk } from "./disks/open-disks.ts";
import type { StateFile } from "./epochs/state.ts";
import { lockFolder } from "./folder-lock.ts";
import { createLag } from "./lag.ts";
import type { Lag } from "./lag.ts";
import { errorFacts } from "./log.ts";
import type { Log } from "./log.ts";
import { startNbdServer } from "./nbd/server.ts";
import type { NbdAddress } from "./nbd/server.ts";
import { openState, stateFolder } from "./open-state.ts";
import type { OpenedState } from "./open-state.ts";
import { startSeeding } from "./seeding/seeding.ts";
import type { Seeding } from "./seeding/seeding.ts";
import { startStatusSocket } from "./status-socket.ts";
import { startStatusFile } from "./status.ts";
import type { MobilityStatus } from "./status.ts";
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

/** What every part of one running service shares. */
interface Base {
  readonly config: MobilityConfig;
  readonly ports: MobilityPorts;
  readonly folder: ReturnType<typeof stateFolder>;
  readonly disks: readonly OpenedDisk[];
  readonly tokens: ItemTokens;
  readonly session: ReturnType<typeof openSession>;
  /** Rejects while the machine does not know its own id. */
  readonly machineId: MachineIdentity;
  readonly control: ControlClient;
  /** Calls that go on while the service stops. */
  readonly lastCalls: () => ControlClient;
  readonly register: () => Promise<Position>;
  readonly lag: Lag;
  readonly startedMs: number;
  /** Reports a failure that the service survives. */
  readonly failed: (error: unknown) => void;
  readonly lastFailure: () => MobilityStatus["lastError"];
}

/** The running parts, as status, heartbeat and stop see them. */
interface Parts extends Base {
  readonly state: StateFile;
  readonly capture: Capture;
  readonly uploader: Uploader;
  readonly identity: Identity;
  readonly seeding: Seeding;
  readonly appPoints: AppPoints;
  readonly currency: ReturnType<typeof createCurrency>;
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
    renew: () => heartbeat?.soon(),
    uploaded: async (end) => {
      await state.change({ uploaded: end });
      base.lag.uploaded(end);
    },
    failed,
  });
  for (const delta of opened.spool) uploader.add(delta);
  const capture = captureOf(base, opened, uploader);
  undo.push(() => capture.stop());
  // Clients see the disks as the operator listed them; records and deltas number them by id.
  const exports = config.disks.flatMap(({ id }) => capture.volumes.find((volume) => volume.name === id) ?? []);
  const server = await startNbdServer(addresses(config), exports);

  const soon = (): void => heartbeat?.soon();
  const identity = identityOf(base, uploader, soon);
  const seeding = seedingOf(base, opened, capture, uploader, identity);
  const appPoints = appPointsOf(base, capture, seeding, soon);
  const parts: Parts = { ...base, state, capture, uploader, identity, seeding, appPoints, currency: createCurrency() };
  heartbeat = heartbeatOf(parts);
  const status = (): MobilityStatus => statusOf(parts, heartbeat?.counts ?? { sent: 0, answered: 0 });
  const statusFile = startStatusFile(folder.status, status, failed);
  const statusSocket = await startStatusSocket(folder.statusSocket, status, (reason) => {
    ports.log("warning", "status-socket-unavailable", { reason });
  });

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await seeding.stop();
    // What is still frozen then is thawed by the next start.
    await within(STOP_UPLOAD_MS, appPoints.stop());
    // Requests that wait for a full disk would never end: after a while they are answered with an error, and stay without a record.
    const requests = server.stop();
    if (!(await within(STOP_UPLOAD_MS, requests))) capture.log.stop();
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
    stop: () => (stopped ??= stop()),
  };
}

function openBase(config: MobilityConfig, ports: MobilityPorts, signal: AbortSignal, undo: (() => unknown)[]): Base {
  const folder = stateFolder(config.stateFolder);
  for (const path of [folder.path, folder.journal, folder.spool]) mkdirSync(path, { recursive: true, mode: 0o700 });
  undo.push(lockFolder(folder.lock));
  const disks = openDisks(config.disks);
  undo.push(() => closeImages(disks));
  const tokens = openItemTokens(folder.token);
  const session = openSession(folder.session, folder.path, ports.bootId);
  const machineId = machineIdentity(config.machineId, ports.transport, signal);
  const callsUntil = (end: AbortSignal): ControlClient =>
    createControlClient({ ...config, transport: ports.transport, itemToken: tokens.current, sessionId: session.id, signal: end });
  const control = callsUntil(signal);
  const { itemId, registrationToken } = config;
  const registration = {
    control,
    itemId,
    itemToken: tokens.current,
    registrationToken,
    machineId,
    bootId: ports.bootId,
    disks: disks.map((disk) => disk.description),
  };
  const failures = recordFailures(ports);
  return {
    config,
    ports,
    folder,
    disks,
    tokens,
    session,
    machineId,
    control,
    lastCalls: () => callsUntil(AbortSignal.timeout(SESSION_END_MS)),
    register: () => registerService(registration),
    lag: createLag(() => ports.clock.now()),
    startedMs: ports.clock.now(),
    ...failures,
  };
}

function reportOpened({ recovered, seededAgain }: OpenedState, log: Log): void {
  if (recovered.redoneRecords > 0) log("info", "journal-redone", { records: recovered.redoneRecords });
  if (seededAgain !== undefined) log("warning", "reading-everything-again", { reason: seededAgain });
}

function captureOf({ config, ports, folder, disks, lag, failed }: Base, opened: OpenedState, uploader: Uploader): Capture {
  return openCapture({
    disks,
    opened,
    journalFolder: folder.journal,
    spoolFolder: folder.spool,
    epochMaxAgeMs: config.epochMaxAgeMs,
    now: () => ports.clock.now(),
    random: ports.random,
    sealed: (delta) => {
      ports.log("info", "epoch-sealed", { epoch: delta.end.epoch, lengthBytes: delta.lengthBytes });
      lag.sealed(delta.end, opened.state.current.lastWriteMs);
      uploader.add(delta);
    },
    failed,
  });
}

function seedingOf({ ports, disks, failed }: Base, opened: OpenedState, capture: Capture, uploader: Uploader, identity: Identity): Seeding {
  return startSeeding({
    from: opened.seed,
    fresh: opened.state.current.seedFresh,
    images: disks.map((disk) => disk.image),
    locks: capture.locks,
    log: capture.log,
    // A clone, or a service whose place is taken, reads nothing: nobody would get it.
    spooledDeltas: () => (identity.wasGranted ? uploader.waiting : Number.POSITIVE_INFINITY),
    random: ports.random,
    failed,
  });
}

function identityOf({ config, ports, tokens, register, failed }: Base, uploader: Uploader, soon: () => void): Identity {
  return createIdentity({
    tokens,
    uploader,
    register: config.registrationToken === undefined ? undefined : register,
    changed: (state, error) => {
      ports.log(state === "granted" ? "info" : "warning", "identity-changed", { state });
      if (error !== undefined) failed(error);
    },
    soon,
    exchanged: () => ports.log("info", "token-exchanged"),
  });
}

function appPointsOf({ config, ports, folder }: Base, { log }: Capture, seeding: Seeding, finished: () => void): AppPoints {
  return startAppPoints({
    script: config.appConsistencyScript,
    freezeMaxMs: config.freezeMaxMs,
    markerPath: folder.frozen,
    obstacle: () => log.failure?.message ?? (seeding.done ? undefined : "the disks are being read: the target is no image yet"),
    cut: () => {
      log.append({ kind: "application-mark", disk: 0, pass: 0, offsetBytes: 0, lengthBytes: 0 }, Buffer.alloc(0));
      log.cut();
    },
    monotonicMs: () => performance.now(),
    finished,
    log: ports.log,
  });
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

/** Everything recorded is sealed and, if the network allows, uploaded. True when nothing is left in the journal. */
async function drain({ capture, uploader }: Parts): Promise<boolean> {
  const { log, sealer } = capture;
  if (log.failure === undefined) log.cut();
  await within(
    STOP_UPLOAD_MS,
    sealer.idle().then(() => uploader.drained(STOP_UPLOAD_MS)),
  );
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
  capture.log.cut();
  await capture.sealer.idle();
  return state.current.sealed;
}

function nothingPending({ capture, uploader, seeding }: Parts): boolean {
  return capture.log.empty && uploader.waiting === 0 && seeding.done;
}

async function heartbeatRequest(parts: Parts): Promise<HeartbeatRequest> {
  const { ports, state, capture, uploader, seeding, appPoints, currency, session, tokens } = parts;
  const machineId = await parts.machineId();
  const sentMs = ports.clock.now();
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
    consistency: appPoints.outcome,
    nextTokenHash: tokens.nextHash(),
  };
}

function heartbeatAnswered({ state, uploader, identity, appPoints }: Parts, answer: HeartbeatAnswer): void {
  identity.answered(answer);
  if (answer.consistency !== undefined) appPoints.request(answer.consistency.requestId);
  const ownStream = state.current.sealed.stream;
  if (answer.stream === ownStream) uploader.grant(answer.upload.containerUrl);
  else if (uploader.stopped === undefined) {
    const facts = { ownStream, openStream: answer.stream };
    uploader.halt(new LeewardError("stream-closed", "The control plane opened another stream for this item.", facts));
  }
}

function statusOf(parts: Parts, heartbeats: Heartbeat["counts"]): MobilityStatus {
  const { config, ports, state, capture, uploader, identity, seeding, appPoints, lag, lastFailure } = parts;
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
    seeding: { doneBytes: seeding.doneBytes, totalBytes: seeding.totalBytes, done: seeding.done },
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
