import { LeewardError } from "../../replication/errors.ts";
import type { Position } from "../../replication/position.ts";
import type { Capture } from "../capture/capture.ts";
import { openState } from "../capture/open-state.ts";
import { createCurrency } from "../control/currency.ts";
import { startHeartbeat, type Heartbeat } from "../control/heartbeat.ts";
import { repeatRegistration } from "../control/registration.ts";
import { createSpoolBound } from "../epochs/spool-bound.ts";
import { SESSION_END_MS, SPOOL_LOW_SHARE, STOP_UPLOAD_MS } from "../limits.ts";
import type { NbdDisk } from "../nbd/connection.ts";
import { startNbdServer, type NbdAddress } from "../nbd/server.ts";
import { within } from "../system/clock.ts";
import type { MobilityConfig } from "../system/config.ts";
import type { MobilityPorts } from "./ports.ts";
import { heartbeatAnswered, heartbeatRequest, statusOf } from "./report.ts";
import { appPointsOf, captureOf, identityOf, openBase, reportOpened, uploaderOf, type Parts } from "./service-parts.ts";
import { startStatusSocket } from "./status-socket.ts";
import { startStatusFile, type MobilityStatus } from "./status.ts";

export interface MobilityService {
  readonly socketPath: string | undefined;
  /** The TCP port, if TCP is served. */
  readonly port: number | undefined;
  status(): MobilityStatus;
  /**
   * Closes the epoch. Returns the position of the last sealed delta, which holds every write answered before the call.
   * Throws `capture-failed`.
   */
  cut(): Promise<Position>;
  /**
   * Reads all disks again, and takes no recovery point meanwhile (`repairReplication`). Ignores the request id that was
   * obeyed last.
   */
  resynchronize(requestId: string): Promise<void>;
  /** Stops NBD, seals what is recorded, tries for a short while to upload it, and releases everything. */
  stop(): Promise<void>;
}

/** The whole service except its sockets. */
export interface OpenedService extends Omit<MobilityService, "socketPath"> {
  /** As configured: the first is the default export. */
  readonly volumes: readonly NbdDisk[];
  /** Its parts, for closer inspection. */
  readonly parts: Parts;
}

type StateFolder = Parts["folder"];

/** How guests and people reach the service. */
export interface Doors {
  /** Accepts guests. `stop` accepts no more requests, and resolves when those under way have ended. */
  serve(disks: readonly NbdDisk[]): Promise<{ readonly port: number | undefined; stop(): Promise<void> }>;
  /** Publishes the service's status in the files of the folder. */
  showStatus(
    folder: StateFolder,
    status: () => MobilityStatus,
    failed: (error: unknown) => void,
  ): Promise<{ stop(): void }>;
}

/** For callers that use the volumes directly: they call `stop` when their requests have ended. */
const CLOSED: Doors = {
  serve: () => Promise.resolve({ port: undefined, stop: () => Promise.resolve() }),
  showStatus: () => Promise.resolve({ stop: () => undefined }),
};

/**
 * Serves the configured disks over NBD and replicates them. Returns when clients can connect: at once if the state
 * folder knows the stream, else after the first registration. Throws `configuration-invalid`, `disk-invalid`,
 * `port-in-use`, `state-locked`, `state-corrupt`, or the refusal of the registration.
 */
export async function startMobility(config: MobilityConfig, ports: MobilityPorts): Promise<MobilityService> {
  const service = await openService(config, ports, {
    serve: (disks) => startNbdServer(addresses(config), disks),
    showStatus: async (folder, status, failed) => {
      const file = startStatusFile(ports, folder.status, status, failed);
      const socket = await startStatusSocket(folder.statusSocket, status, (reason) => {
        ports.log("warning", "status-socket-unavailable", { reason });
      });
      return {
        stop: () => {
          file.stop();
          socket.stop();
        },
      };
    },
  });
  return { ...service, socketPath: config.nbd.socketPath };
}

/**
 * The same without a socket, unless `doors` opens one: in memory, when the ports are. It does not end by itself: a
 * simulated process is killed by taking its ports away. Throws as `startMobility` does.
 */
export async function openService(
  config: MobilityConfig,
  ports: MobilityPorts,
  doors: Doors = CLOSED,
): Promise<OpenedService> {
  // Undoes what has been opened so far if the start fails half-way.
  const undo: (() => unknown)[] = [];
  try {
    return await start(config, ports, doors, undo);
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
}

async function start(
  config: MobilityConfig,
  ports: MobilityPorts,
  doors: Doors,
  undo: (() => unknown)[],
): Promise<OpenedService> {
  const offline = new AbortController();
  const base = openBase(config, ports, offline.signal, undo);
  const { folder, failed } = base;
  const opened = await openState({
    files: ports.files,
    folder,
    itemId: config.itemId,
    disks: base.disks,
    bootId: ports.bootId,
    register: () => repeatRegistration(base.register, ports.clock, ports.random, failed),
  });
  reportOpened(opened, ports.log);
  const { state } = opened;

  let heartbeat: Heartbeat | undefined;
  const soon = (): void => heartbeat?.soon();
  const keepBytes = (): number =>
    SPOOL_LOW_SHARE * spoolBoundBytes() - uploader.waitingBytes - capture.log.pendingBytes;
  const uploader = uploaderOf(base, state, soon, keepBytes);
  for (const delta of opened.spool) uploader.add(delta);
  const identity = identityOf(base, uploader, soon);
  const spoolBoundBytes = createSpoolBound({
    files: ports.files,
    clock: ports.clock,
    folder: folder.path,
    maxBytes: config.spoolMaxBytes,
    ownBytes: () => uploader.waitingBytes + uploader.keptBytes + capture.log.pendingBytes,
    unsealedBytes: () => capture.log.pendingBytes,
  });
  const capture: Capture = captureOf(base, opened, uploader, identity, () => {
    uploader.trimKept();
    return spoolBoundBytes();
  });
  undo.push(() => capture.stop());
  // Clients see the disks as the operator listed them; records and deltas number them by id.
  const volumes = config.disks.flatMap(({ id }) => capture.volumes.find((volume) => volume.name === id) ?? []);
  const server = await doors.serve(volumes);

  const appPoints = appPointsOf(base, capture, soon);
  const currency = createCurrency();
  const parts: Parts = { ...base, state, capture, uploader, identity, appPoints, currency, spoolBoundBytes };
  heartbeat = heartbeatOf(parts, soon);
  const status = (): MobilityStatus => statusOf(parts, heartbeat?.counts ?? { sent: 0, answered: 0 });
  const shown = await doors.showStatus(folder, status, failed);

  const beating = heartbeat;
  const goOffline = (): Promise<void> => {
    offline.abort();
    return beating.stop();
  };
  const stop = async (): Promise<void> => {
    await stopService(parts, server, goOffline);
    shown.stop();
    for (const step of undo.toReversed()) await step();
  };
  let stopped: Promise<void> | undefined;
  return {
    volumes,
    parts,
    port: server.port,
    status,
    cut: () => cut(parts),
    resynchronize: (requestId) => capture.recorder.resynchronize("requested", requestId),
    stop: () => (stopped ??= stop()),
  };
}

/** Lets guests finish their requests, seals and uploads what is recorded, and ends the session. */
async function stopService(
  parts: Parts,
  server: { stop(): Promise<void> },
  goOffline: () => Promise<void>,
): Promise<void> {
  const { ports, capture, appPoints, uploader, state, failed } = parts;
  await capture.seeding.stop();
  // The next start thaws anything that is still frozen.
  await within(ports.clock, STOP_UPLOAD_MS, appPoints.stop());
  // Requests that wait for a full disk would never end: after a while they are answered with an error and never
  // recorded.
  const requests = server.stop();
  if (!(await within(ports.clock, STOP_UPLOAD_MS, requests))) capture.giveUp();
  await requests;
  const clean = await drain(parts);
  await goOffline();
  await uploader.stop();
  await endSession(parts);
  // Without this mark the next boot of the machine reads some regions again.
  if (clean) await state.change({ clean: true }).catch(failed);
}

function heartbeatOf(parts: Parts, soon: () => void): Heartbeat {
  const { config, control, ports, identity, failed } = parts;
  return startHeartbeat({
    clock: ports.clock,
    control,
    intervalMs: config.heartbeatMs,
    random: ports.random,
    report: () => heartbeatRequest(parts),
    answered: (answer) => heartbeatAnswered(parts, answer, soon),
    failed,
    refused: (error) => identity.refused(error),
  });
}

/**
 * Tells the control plane that the next service need not wait. If this fails, the next one waits until the lease is
 * over.
 */
async function endSession(parts: Parts): Promise<void> {
  if (parts.identity.state !== "granted") return;
  // First: a start that reads the file would take over a session that may have ended.
  parts.session.over();
  const end = new AbortController();
  const cancel = parts.ports.clock.after(SESSION_END_MS, () => end.abort());
  try {
    await parts.lastCalls(end.signal).heartbeat({ ...(await heartbeatRequest(parts)), ended: true });
  } catch (error) {
    parts.failed(error);
  } finally {
    cancel();
  }
}

/**
 * Seals everything recorded and, if the network allows, uploads it. True when nothing is left in the journal and images
 * and dirty map are on the medium.
 */
async function drain({ ports, capture, uploader, failed }: Parts): Promise<boolean> {
  const { log, recorder, sealer } = capture;
  try {
    if (log.failure === undefined) log.cut();
    await within(
      ports.clock,
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

async function cut({ capture, state }: Parts): Promise<Position> {
  if (capture.log.failure !== undefined) throw capture.log.failure;
  if (capture.recorder.mode.kind === "tracking") {
    const { reason } = capture.recorder.mode;
    const message = "The guest's writes are not recorded now: there is no position that holds them.";
    throw new LeewardError("resynchronization-required", message, { reason });
  }
  capture.log.cut();
  await capture.sealer.idle();
  return state.current.sealed;
}

function addresses({ nbd }: MobilityConfig): readonly NbdAddress[] {
  return [
    ...(nbd.socketPath === undefined ? [] : [{ kind: "unix" as const, path: nbd.socketPath }]),
    ...(nbd.port === undefined ? [] : [{ kind: "tcp" as const, host: "127.0.0.1", port: nbd.port }]),
  ];
}
