import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CLOUD_STOP_MS } from "../../replication/limits.ts";
import { startEventGrid, type EventSwitches } from "../events/event-grid.ts";
import { startStorage, type LocalStorage } from "../storage/storage.ts";
import { startFunctionApp, type FunctionApp } from "./function-app.ts";
import { startMobility, type MobilityOptions, type MobilityService } from "./mobility-service.ts";
import { checkPorts, type CloudPorts } from "./ports.ts";
import { cloudSecrets, type CloudSecrets } from "./secrets.ts";

/** The two storage accounts: the cache stands in the source region, everything that must survive it in the target region. */
export const CACHE_ACCOUNT = "leewardcachewe";
export const TARGET_ACCOUNT = "leewardtargetne";

export interface CloudOptions {
  /** Everything the cloud keeps lies below it. */
  readonly folder: string;
  readonly ports: CloudPorts;
  readonly persistence: "disk" | "memory";
  readonly schedules: { readonly points: string; readonly sweep: string };
  /** For the events' order and delays. */
  readonly random: () => number;
  readonly eventSwitches?: EventSwitches;
}

/** The embedded cloud: storage of two regions and events in this process, the function app and the mobility services as children. */
export interface Cloud {
  readonly storage: LocalStorage;
  readonly app: FunctionApp;
  readonly secrets: CloudSecrets;
  readonly logFolder: string;
  /** Starts the mobility service of one VM; the cloud stops it. */
  startMobility(options: Omit<MobilityOptions, "apiUrl" | "logFolder">): Promise<MobilityService>;
  /** Stops mobility services, then the app, then the services, within ten seconds. Whoever writes to the VM stops before. */
  stop(): Promise<void>;
  /** Kills every child at once and waits for nothing. */
  kill(): void;
}

export async function startCloud(options: CloudOptions): Promise<Cloud> {
  await checkPorts(options.ports);
  const logFolder = join(options.folder, "logs");
  await mkdir(logFolder, { recursive: true, mode: 0o700 });
  const secrets = await cloudSecrets(options.folder, [CACHE_ACCOUNT, TARGET_ACCOUNT]);
  const { ports } = options;
  // What has started, in order: stopping goes backwards, also when the start itself fails half-way.
  const started: { readonly stop: () => Promise<void>; readonly kill: () => void }[] = [];
  const stop = async (): Promise<void> => {
    const orderly = async (): Promise<void> => {
      for (const part of started.splice(0).reverse()) await part.stop();
    };
    const everything = [...started];
    const patience = new AbortController();
    const late = sleep(CLOUD_STOP_MS, "late", { signal: patience.signal }).catch(() => "stopped");
    if ((await Promise.race([orderly(), late])) === "late") for (const part of everything) part.kill();
    patience.abort();
  };
  try {
    const storage = await startStorage({
      folder: join(options.folder, "storage"),
      persistence: options.persistence,
      accounts: [
        { name: CACHE_ACCOUNT, region: "westeurope", blobPort: ports.cacheBlob, queuePort: ports.cacheQueue },
        { name: TARGET_ACCOUNT, region: "northeurope", blobPort: ports.targetBlob, queuePort: ports.targetQueue },
      ],
      key: (account) => secrets.accountKeys[account] ?? "",
    });
    started.push({ stop: () => storage.close(), kill: () => {} });
    const events = await startEventGrid({
      folder: join(options.folder, "events"),
      storage,
      subscriptions: [
        {
          source: CACHE_ACCOUNT,
          subjectBeginsWith: "/blobServices/default/containers/leeward-cache-",
          destination: { kind: "storage-queue", account: TARGET_ACCOUNT, queue: "leeward-hints" },
        },
      ],
      random: options.random,
      switches: options.eventSwitches ?? {},
    });
    started.push({ stop: () => events.close(), kill: () => {} });
    const app = await startFunctionApp({
      storage,
      secrets,
      accounts: { cache: CACHE_ACCOUNT, target: TARGET_ACCOUNT },
      port: ports.app,
      logFolder,
      schedules: options.schedules,
    });
    started.push({ stop: () => app.stop(), kill: () => void app.kill() });
    return {
      storage,
      app,
      secrets,
      logFolder,
      startMobility: async (service) => {
        const mobility = await startMobility({ ...service, apiUrl: `${app.url}/api`, logFolder });
        started.push({ stop: () => mobility.stop(), kill: () => void mobility.kill() });
        return mobility;
      },
      stop,
      kill: () => {
        for (const part of started) part.kill();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
