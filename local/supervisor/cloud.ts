import { createHash } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { startEventGrid, type EventSwitches } from "@leeward/azure-local/events";
import { startTopic, type Topic, type TopicSubscription } from "@leeward/azure-local/events/topic";
import { startResourceManager, type ResourceManager } from "@leeward/azure-local/resource-manager";
import { startStorage, type LocalStorage } from "@leeward/azure-local/storage";
import { startFunctionApp, type FunctionApp } from "./function-app.ts";
import { mobilityPrograms } from "./machine-programs.ts";
import { startMobility, type MobilityOptions, type MobilityService } from "./mobility-service.ts";
import { StartedParts } from "./parts.ts";
import { checkPorts, type CloudPorts } from "./ports.ts";
import { cloudSecrets, type CloudSecrets } from "./secrets.ts";

/**
 * The two storage accounts: the cache is in the source region, everything that must survive it in the target region.
 */
export const CACHE_ACCOUNT = "leewardcachewe";
export const TARGET_ACCOUNT = "leewardtargetne";
/** The subscription known to the local Resource Manager, and the groups that a deployment would have made in it. */
const SUBSCRIPTION_ID = "1ee3a2d0-0000-4000-8000-000000000001";
const TARGET_GROUP = "leeward-target";
const DEPLOYED_GROUPS = [
  { name: "leeward-source", region: "westeurope", accounts: [CACHE_ACCOUNT], tags: { "leeward-purpose": "cache" } },
  { name: TARGET_GROUP, region: "northeurope", accounts: [TARGET_ACCOUNT], tags: { "leeward-purpose": "target" } },
] as const;

export interface CloudOptions {
  /** The cloud keeps all its files below it. */
  readonly folder: string;
  readonly ports: CloudPorts;
  readonly persistence: "disk" | "memory";
  readonly schedules: { readonly points: string; readonly sweep: string };
  /** For the events' order and delays. */
  readonly random: () => number;
  readonly eventSwitches?: Partial<EventSwitches>;
  /** Subscribers to the events that the app publishes (docs/events.md); none by default. */
  readonly topicSubscriptions?: readonly TopicSubscription[];
  /** Extra environment of the function app's process, beside its own settings. */
  readonly appEnvironment?: Readonly<Record<string, string>>;
  /** Without it, operations of the Resource Manager take only as long as their work. */
  readonly resourceManager?: { readonly pace: number; readonly retryAfterSeconds: number };
  /** Receives reports about the children: deaths, restarts, giving up. */
  readonly say?: (text: string) => void;
  /** Aborting it ends the start: stops what has started, in order, and throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * The embedded cloud: storage of two regions, events and Resource Manager in this process, the function app and the
 * mobility services as children.
 */
export interface Cloud {
  readonly storage: LocalStorage;
  readonly resourceManager: ResourceManager<MobilityService>;
  readonly topic: Topic;
  readonly app: FunctionApp;
  readonly secrets: CloudSecrets;
  readonly logFolder: string;
  /** Starts the mobility service of one VM; the cloud stops it. */
  startMobility(options: Omit<MobilityOptions, "apiUrl" | "logFolder" | "say" | "signal">): Promise<MobilityService>;
  /**
   * Stops mobility services, then the app, then the services, within ten seconds. Writers to the VM must stop before.
   */
  stop(): Promise<void>;
  /** Kills every child at once without waiting. */
  kill(): void;
}

/** Starts everything or nothing: when a part fails, those before it are stopped and the part's error is thrown. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  await checkPorts(options.ports);
  const logFolder = join(options.folder, "logs");
  await mkdir(logFolder, { recursive: true, mode: 0o700 });
  const secrets = await cloudSecrets(options.folder, [CACHE_ACCOUNT, TARGET_ACCOUNT]);
  const parts = new StartedParts();
  const { say = () => {}, signal } = options;
  try {
    const storage = await startRegions(options, secrets);
    parts.add({ stop: () => storage.close(), kill: () => {} });
    const events = await startEvents(options, storage);
    parts.add({ stop: () => events.close(), kill: () => {} });
    const topic = await startTopic({
      name: "leeward-events",
      folder: join(options.folder, "topic"),
      port: options.ports.eventTopic,
      key: derivedKey("event topic", secrets),
      storage,
      subscriptions: options.topicSubscriptions ?? [],
    });
    parts.add({ stop: () => topic.close(), kill: () => {} });
    const resourceManager = await startManagement(options, storage, secrets, logFolder);
    parts.add({ stop: () => resourceManager.close(), kill: () => {} });
    signal?.throwIfAborted();
    const durableFolder = join(options.folder, "durable");
    // Orchestrations outlive a kill of the app, which is a separate process, as the storage does; with persistence
    // "memory" both end with the cloud.
    if (options.persistence === "memory") await rm(durableFolder, { recursive: true, force: true });
    const app = await startFunctionApp({
      storage,
      secrets,
      accounts: { cache: CACHE_ACCOUNT, target: TARGET_ACCOUNT },
      resourceManager,
      topic,
      resourceGroup: TARGET_GROUP,
      port: options.ports.app,
      logFolder,
      durableFolder,
      schedules: options.schedules,
      environment: options.appEnvironment ?? {},
      say,
      signal,
    });
    parts.add({ stop: () => app.stop(), kill: () => void app.kill() });
    // Machines that ran before run again, now that their services can reach the app.
    parts.add({ stop: () => resourceManager.haltMachines(), kill: () => resourceManager.kill() });
    await resourceManager.resumeMachines();
    signal?.throwIfAborted();
    return {
      storage,
      resourceManager,
      topic,
      app,
      secrets,
      logFolder,
      startMobility: (service) => startPart(parts, { ...service, apiUrl: `${app.url}/api`, logFolder, say }),
      stop: () => parts.stop(),
      kill: () => parts.kill(),
    };
  } catch (error) {
    await parts.stop();
    throw error;
  }
}

/** A part from now on, not only when it is ready: a stop in between must not leave it behind. */
function startPart(parts: StartedParts, options: MobilityOptions): Promise<MobilityService> {
  const stopping = new AbortController();
  let mobility: MobilityService | undefined;
  const starting = startMobility({ ...options, signal: stopping.signal }).then((started) => (mobility = started));
  parts.add({
    stop: async () => {
      stopping.abort();
      await (await starting.catch(() => undefined))?.stop();
    },
    kill: () => {
      stopping.abort();
      void mobility?.kill();
    },
  });
  return starting;
}

function startRegions(options: CloudOptions, secrets: CloudSecrets): Promise<LocalStorage> {
  const { ports } = options;
  return startStorage({
    folder: join(options.folder, "storage"),
    persistence: options.persistence,
    accounts: [
      { name: CACHE_ACCOUNT, region: "westeurope", blobPort: ports.cacheBlob, queuePort: ports.cacheQueue },
      { name: TARGET_ACCOUNT, region: "northeurope", blobPort: ports.targetBlob, queuePort: ports.targetQueue },
    ],
    key: (account) => secrets.accountKeys[account] ?? "",
  });
}

/** The services' tokens come from a key that the cloud has anyway. */
function derivedKey(service: string, { masterKey }: CloudSecrets): string {
  return createHash("sha256").update(`${service}\n${masterKey}`).digest("base64url");
}

function startManagement(
  options: CloudOptions,
  storage: LocalStorage,
  secrets: CloudSecrets,
  logFolder: string,
): Promise<ResourceManager<MobilityService>> {
  return startResourceManager({
    folder: join(options.folder, "resource-manager"),
    persistence: options.persistence,
    port: options.ports.resourceManager,
    subscriptionId: SUBSCRIPTION_ID,
    token: derivedKey("resource manager", secrets),
    accounts: storage.accounts,
    deployed: DEPLOYED_GROUPS,
    programs: mobilityPrograms(logFolder, (service) =>
      startMobility({ ...service, say: options.say ?? (() => {}), signal: options.signal }),
    ),
    now: () => Date.now(),
    pace: 0,
    ...options.resourceManager,
  });
}

/**
 * The only subscription that a deployment makes: a blob created in the cache becomes a message in the target region.
 */
function startEvents(options: CloudOptions, storage: LocalStorage) {
  return startEventGrid({
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
}
