import { LeewardError } from "../../replication/errors.ts";
import type { Position } from "../../replication/position.ts";
import { openCapture, type Capture } from "../capture/capture.ts";
import { stateFolder, type OpenedState } from "../capture/open-state.ts";
import { startAppPoints, type AppPoints } from "../consistency/app-points.ts";
import { openCacheAccount, type CacheAccount } from "../control/cache-account.ts";
import { createControlClient, type ControlClient } from "../control/control-client.ts";
import type { createCurrency } from "../control/currency.ts";
import { createIdentity, type Identity } from "../control/identity.ts";
import { openItemTokens, type ItemTokens } from "../control/item-tokens.ts";
import { machineIdentity, type MachineIdentity } from "../control/machine.ts";
import { registerService } from "../control/registration.ts";
import { openSession } from "../control/session-file.ts";
import { openDisks, type OpenedDisk } from "../disks/open-disks.ts";
import { releaseReserve, uploadedTo, type StateFile } from "../epochs/state.ts";
import type { MobilityConfig } from "../system/config.ts";
import { makeFolderDurably } from "../system/durable-file.ts";
import { lockFolder } from "../system/folder-lock.ts";
import { errorFacts, type Log } from "../system/log.ts";
import { createPace } from "../system/pace.ts";
import { startUploader, type Uploader } from "../upload/uploader.ts";
import { createLag, type Lag } from "./lag.ts";
import type { MobilityPorts } from "./ports.ts";
import { createSourceClock, type SourceClock } from "./source-clock.ts";
import type { MobilityStatus } from "./status.ts";

/** Shared by every part of one running service. */
export interface Base {
  readonly config: MobilityConfig;
  /** The clock is the corrected one. */
  readonly ports: MobilityPorts & { readonly clock: SourceClock };
  readonly folder: ReturnType<typeof stateFolder>;
  readonly disks: readonly OpenedDisk[];
  readonly tokens: ItemTokens;
  readonly session: ReturnType<typeof openSession>;
  readonly cacheAccount: CacheAccount;
  /** Rejects while the machine does not know its own id. */
  readonly machineId: MachineIdentity;
  readonly control: ControlClient;
  /** Calls that continue while the service stops, until this signal. */
  readonly lastCalls: (end: AbortSignal) => ControlClient;
  readonly register: () => Promise<Position>;
  readonly lag: Lag;
  readonly startedMs: number;
  /** Reports a failure that the service survives. */
  readonly failed: (error: unknown) => void;
  readonly lastFailure: () => MobilityStatus["lastError"];
}

/** The running parts, for status, heartbeat and stop. */
export interface Parts extends Base {
  readonly state: StateFile;
  readonly capture: Capture;
  readonly uploader: Uploader;
  readonly identity: Identity;
  readonly appPoints: AppPoints;
  readonly currency: ReturnType<typeof createCurrency>;
  readonly spoolBoundBytes: () => number;
}

export function openBase(
  config: MobilityConfig,
  given: MobilityPorts,
  signal: AbortSignal,
  undo: (() => unknown)[],
): Base {
  const { files, log } = given;
  const clock = createSourceClock(given.clock, (isBelieved, aheadMs) =>
    log("warning", "clock-changed", { isBelieved, aheadMs }),
  );
  const ports = { ...given, clock };
  const folder = stateFolder(config.stateFolder);
  makeFolderDurably(files, folder.path, 0o700);
  for (const path of [folder.journal, folder.spool, folder.kept]) files.makeFolder(path, 0o700);
  // Frees space for lock and state file on a full disk; the state file makes the reserve again.
  releaseReserve(files, folder.state);
  undo.push(lockFolder(files, ports.processes, folder.lock));
  const disks = openDisks(files, config.disks);
  undo.push(() => closeImages(disks));
  const tokens = openItemTokens(files, ports.randomBytes, folder.token);
  const session = openSession({ files, random: ports.randomBytes, bootId: ports.bootId }, folder.session, folder.path);
  const cacheAccount = openCacheAccount(files, folder.cacheAccount);
  const machineId = machineIdentity(config.machineId, ports.transport, signal);
  const callsUntil = (end: AbortSignal): ControlClient =>
    createControlClient({
      ...config,
      transport: ports.transport,
      credential: tokens.credential,
      sessionId: session.id,
      told: (controlMs) => clock.told(controlMs),
      signal: end,
    });
  const control = callsUntil(signal);
  const { itemId, registrationToken } = config;
  const registration = {
    control,
    itemId,
    tokens,
    cacheAccount,
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
    cacheAccount,
    machineId,
    control,
    lastCalls: callsUntil,
    register: () => registerService(registration),
    lag: createLag(() => ports.clock.now()),
    startedMs: ports.clock.now(),
    ...failures,
  };
}

export function uploaderOf(
  { config, ports, folder, control, cacheAccount, lag, failed }: Base,
  state: StateFile,
  renew: () => void,
  keepBytes: () => number,
): Uploader {
  return startUploader({
    kept: { folder: folder.kept, roomBytes: keepBytes },
    files: ports.files,
    clock: ports.clock,
    transport: ports.transport,
    control,
    random: ports.random,
    pace: createPace(config.uploadBytesPerSecond, ports.clock),
    renew,
    obstacle: (containerUrl) => cacheAccount.obstacle(containerUrl),
    uploaded: async (end) => {
      await state.change(uploadedTo(end));
      lag.uploaded(end);
    },
    failed,
  });
}

export function captureOf(
  { config, ports, folder, disks, lag, failed }: Base,
  opened: OpenedState,
  uploader: Uploader,
  identity: Identity,
  spoolBoundBytes: () => number,
): Capture {
  return openCapture({
    files: ports.files,
    clock: ports.clock,
    thread: ports.startSealThread(),
    // A clone, or a replaced service, reads nothing: it could not upload it.
    spool: () => ({
      count: identity.wasGranted ? uploader.waiting : Number.POSITIVE_INFINITY,
      bytes: uploader.waitingBytes,
    }),
    spoolBoundBytes,
    seedPace: createPace(config.seedBytesPerSecond, ports.clock),
    modeChanged: (mode) => {
      if (mode.kind === "tracking") ports.log("warning", "resynchronization-required", { reason: mode.reason });
      else ports.log("info", "resynchronization-running");
    },
    disks,
    opened,
    journalFolder: folder.journal,
    spoolFolder: folder.spool,
    epochMaxAgeMs: config.epochMaxAgeMs,
    latestMs: () => ports.clock.latestMs(),
    random: ports.random,
    sealed: (delta) => {
      ports.log("info", "epoch-sealed", { epoch: delta.end.epoch, lengthBytes: delta.lengthBytes });
      lag.sealed(delta.end, opened.state.current.lastWriteMs);
      uploader.add(delta);
    },
    streamBegun: () => {
      ports.log("info", "stream-begun", { stream: opened.state.current.sealed.stream });
      lag.restart();
      uploader.forget();
    },
    failed,
  });
}

export function identityOf(
  { config, ports, tokens, register, failed }: Base,
  uploader: Uploader,
  soon: () => void,
): Identity {
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

export function appPointsOf({ config, ports, folder }: Base, capture: Capture, finished: () => void): AppPoints {
  const { log, recorder, seeding } = capture;
  return startAppPoints({
    files: ports.files,
    clock: ports.clock,
    run: ports.runScript,
    script: config.appConsistencyScript,
    freezeMaxMs: config.freezeMaxMs,
    markerPath: folder.frozen,
    obstacle: () => {
      if (log.failure !== undefined) return log.failure.message;
      if (recorder.mode.kind === "tracking") return "the guest's writes are not recorded now";
      return seeding.done ? undefined : "the disks are being read: the target is no image yet";
    },
    cut: () => {
      const mark = { kind: "application-mark", disk: 0, pass: 0, offsetBytes: 0, lengthBytes: 0 } as const;
      if (!recorder.seed(mark, Buffer.alloc(0)))
        throw new LeewardError("resynchronization-required", "The log ended while the guest was frozen.");
      log.cut();
    },
    finished,
    log: ports.log,
  });
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

function closeImages(disks: readonly OpenedDisk[]): void {
  for (const { image } of disks) image.close();
}

export function reportOpened({ recovered, seededAgain }: OpenedState, log: Log): void {
  if (recovered.redoneRecords > 0) log("info", "journal-redone", { records: recovered.redoneRecords });
  if (seededAgain !== undefined) log("warning", "reading-again", { reason: seededAgain });
}
