import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startChild } from "./child.ts";
import { keepChild } from "./kept-child.ts";
import { mobilityProgram } from "./programs.ts";

export interface MobilityOptions {
  readonly itemId: string;
  /** The function app's address, with `/api`. */
  readonly apiUrl: string;
  /** The one-time token; undefined when this folder's service has already registered. */
  readonly registrationToken: string | undefined;
  readonly disks: readonly { readonly id: string; readonly path: string }[];
  /** Holds the service's configuration, its state and its socket. */
  readonly folder: string;
  readonly logFolder: string;
  readonly nbdPort: number | undefined;
  readonly epochMaxAgeMs: number;
  readonly heartbeatMs: number;
  /** Every VM of the local cloud is a separate machine, whatever this one is. Undefined: named after the item. */
  readonly machineId?: string | undefined;
  readonly appConsistencyScript?: string | undefined;
  readonly freezeMaxMs?: number | undefined;
  /** Receives reports of its deaths, after each of which it is restarted; undefined: then it stays down. */
  readonly say?: ((text: string) => void) | undefined;
  /** Aborting it ends the start. */
  readonly signal?: AbortSignal | undefined;
}

/** The mobility service of one VM, a separate process. */
export interface MobilityService {
  readonly address:
    | { readonly kind: "unix"; readonly path: string }
    | { readonly kind: "tcp"; readonly host: string; readonly port: number };
  readonly tcpPort: number | undefined;
  readonly running: boolean;
  readonly state: "running" | "restarting" | "down" | "stopped";
  readonly pid: number;
  /** Closes the open epoch now. */
  cut(): void;
  /** The last status that the service wrote, undefined before the first. */
  status(): Promise<Readonly<Record<string, unknown>> | undefined>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

export const mobilityConfigurationFile = (folder: string): string => join(folder, "mobility.json");

export async function startMobility(options: MobilityOptions): Promise<MobilityService> {
  const stateFolder = join(options.folder, "state");
  await mkdir(stateFolder, { recursive: true, mode: 0o700 });
  const configuration = mobilityConfigurationFile(options.folder);
  const socketPath = join(options.folder, "nbd.sock");
  const { itemId, apiUrl, registrationToken, disks, epochMaxAgeMs, heartbeatMs, appConsistencyScript, freezeMaxMs } =
    options;
  const machineId = options.machineId ?? `local-${itemId}`;
  const nbd = { socketPath, ...(options.nbdPort === undefined ? {} : { port: options.nbdPort }) };
  const settings = {
    itemId,
    apiUrl,
    registrationToken,
    machineId,
    stateFolder,
    disks,
    nbd,
    epochMaxAgeMs,
    heartbeatMs,
    appConsistencyScript,
    freezeMaxMs,
  };
  const text = JSON.stringify(settings, undefined, 2);
  await writeFile(configuration, `${text}\n`, { mode: 0o600 });
  const name = `mobility service of ${itemId}`;
  const logFile = join(options.logFolder, `mobility-${itemId}.jsonl`);
  const program = {
    name,
    script: mobilityProgram(),
    parameters: ["--config", configuration],
    environment: {},
    logFile,
  };
  const kept = await keepChild({
    name,
    logFile,
    signal: options.signal,
    say: options.say ?? (() => {}),
    restarts: options.say !== undefined,
    start: ({ signal }) => startChild({ ...program, signal }),
  });
  return {
    address: { kind: "unix", path: socketPath },
    get tcpPort() {
      const port = kept.child.ready["port"];
      return typeof port === "number" ? port : undefined;
    },
    get running() {
      return kept.child.running;
    },
    get state() {
      return kept.state;
    },
    get pid() {
      return kept.child.pid;
    },
    cut: () => kept.child.send({ kind: "cut" }),
    status: async () => {
      // The service replaces the file as a whole; it does not exist before the first heartbeat.
      const text = await readFile(join(stateFolder, "status.json"), "utf8").catch(() => undefined);
      return text === undefined ? undefined : (JSON.parse(text) as Readonly<Record<string, unknown>>);
    },
    stop: () => kept.stop(),
    kill: () => kept.kill(),
  };
}
