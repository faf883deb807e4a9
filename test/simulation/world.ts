import { requireDescribed } from "../../api/check-answer.ts";
import { readInstallCommand } from "../../local/supervisor/install-command.ts";
import { changeManaged } from "../../replication/jobs/managed-item.ts";
import type { WorkMessage } from "../../replication/operations/work-queue.ts";
import type { Clock, ItemStores } from "../../replication/ports.ts";
import type { Progress } from "../../replication/records/item.ts";
import { textOf } from "../../replication/resources/json.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import { openTickets } from "../../replication/service/tickets.ts";
import { type MemoryRecords, createMemoryRecords } from "../memory/memory-records.ts";
import { type MemoryResourceManager, memoryResourceManager } from "../memory/memory-resource-manager.ts";
import { type MemoryStores, createMemoryStores } from "../memory/memory-stores.ts";
import { type Random, createRandom } from "../memory/random.ts";
import { throttledDisks } from "../memory/throttled-disks.ts";
import { SOURCE_GROUP } from "../planning/samples.ts";
import { disks, network, nic, sku, vm } from "../resources/samples.ts";
import { type CacheAccount, createCacheAccount } from "./cache-account.ts";
import { createDurableHost } from "./durable-host.ts";
import { type FaultKind, type SentCall, createFaultInjector, hashOf } from "./fault-model.ts";
import { type AppAnswer, type AppProcess, type AppRequest, type RouteName, startAppProcess } from "./function-app.ts";
import { API_URL } from "./network.ts";
import type { HistoryPlan, MachinePlan } from "./plan.ts";
import { recordsOf, resourceManagerOf, storesOf } from "./ports.ts";
import { SimulatedProcess, type Surroundings } from "./process.ts";
import { type Queues, createQueues, queueOf } from "./queues.ts";
import { SourceMachine } from "./source-machine.ts";
import { type Timeline, createTimeline } from "./timeline.ts";
import { type Topic, createTopic } from "./topic.ts";
import { unkindManager } from "./unkind-manager.ts";

export const START_MS = Date.UTC(2026, 0, 15);
const TARGET_GROUP = "/subscriptions/s1/resourceGroups/shop-asr";
const CONTROL_GROUP = "/subscriptions/s1/resourceGroups/leeward";
/** Schedules of the timers, as the sample settings have them. */
const TIMER_EVERY_MS = { sweep: 30_000, takePoints: 60_000 } as const;
const MANAGER_TICK_MS = 2_000;
const INSTALLER_MS = 3_000;
const APP_WAIT_MS = 8_000;
const OPERATOR_LOOKS_MS = 60_000;
const BARE_REQUEST_MS = 60_000;

/** One machine of the source region and the item that protects it. */
export interface ProtectedMachine {
  readonly itemId: string;
  readonly plan: MachinePlan;
  readonly source: SourceMachine;
  readonly vmId: string;
}

/** Everything of one history: two regions, the product's processes in both, and the people who use them. */
export interface World {
  readonly plan: HistoryPlan;
  readonly timeline: Timeline;
  readonly surroundings: Surroundings;
  readonly random: Random;
  readonly memory: MemoryStores;
  /** The stores without faults. */
  readonly stores: ItemStores;
  readonly control: MemoryRecords;
  readonly cacheAccount: CacheAccount;
  readonly manager: MemoryResourceManager;
  readonly queues: Queues;
  readonly topic: Topic;
  readonly machines: readonly ProtectedMachine[];
  /** One sentence per violation. */
  readonly wrong: string[];
  /** Called with each progress record when it is written. */
  readonly progressListeners: Set<(itemId: string, progress: Progress) => void>;
  /** Lines of the trace; kept only when asked for. */
  readonly trace: string[];
  /** A digest of all trace lines: equal for equal histories. */
  digest(): number;
  away: Set<SentCall["place"]>;
  isCalm: boolean;
  /** When something that was damaged or removed was last put back; 0: never. */
  putBackMs: number;
  /** Ids of resources that an operator has made beside Leeward's. */
  readonly strangers: Set<string>;
  regionLost: boolean;
  appProcess(): AppProcess | undefined;
  /** Wraps the stores below all faults, to see every call that takes effect. */
  watchStores(watch: (stores: ItemStores) => ItemStores): void;
  request(route: RouteName, request: AppRequest): Promise<AppAnswer>;
  /** A request to a new process of the app that has only the target account. Only at the end of a history. */
  bareRequest(route: RouteName, request: AppRequest): Promise<AppAnswer>;
  loseRegion(): void;
  startApp(): void;
  killApp(): void;
  /** Kills every process of the app; as many start after `downMs`. */
  killWholeApp(downMs: number): void;
  /** The next `times` creations of this machine are accepted and fail, because the target region has no capacity. */
  refuseMachine(machine: ProtectedMachine, times: number): void;
  stallApp(durationMs: number): void;
}

export function createWorld(plan: HistoryPlan, keepTrace: boolean): World {
  const timeline = createTimeline(START_MS);
  const random = createRandom(plan.seed ^ 0x3017);
  const lines: string[] = [];
  let digest = 0;
  const trace = (line: string): void => {
    const whole = `${timeline.now() - START_MS} ${line}`;
    digest = (Math.imul(digest, 31) + hashOf(whole)) >>> 0;
    if (keepTrace) lines.push(whole);
  };
  const wrong: string[] = [];
  const isWrong = (sentence: string): void => {
    trace(`WRONG ${sentence}`);
    if (!wrong.includes(sentence)) wrong.push(sentence);
  };
  const away: World["away"] = new Set();
  const injector = createFaultInjector(plan.seed, plan.rates, () => world.isCalm);
  const surroundings: Surroundings = { timeline, injector, trace, isAway: (place) => away.has(place) };
  const rate = (kind: FaultKind): number => (world.isCalm ? 0 : (plan.rates[kind] ?? 0));
  const trueClock = { now: timeline.now };
  const memory = createMemoryStores(trueClock);
  const control = createMemoryRecords(trueClock);
  const queues = createQueues(timeline, random, () => rate("message-repeated"));
  const topic = createTopic(isWrong);
  const manager = memoryResourceManager({ looks: 2 });
  const unkind = unkindManager(manager, { timeline, random, rate });
  const containers = new Set<string>();
  const bare = withContainers(withLimits(memory.stores, trueClock, plan.pageWritesPerSecond), containers);
  let stores = bare;
  const cacheAccount = createCacheAccount({
    timeline,
    stores: bare,
    hasContainer: (itemId, stream) => containers.has(`${itemId}/${stream}`),
    created: (itemId, stream) => announce(itemId, stream),
  });
  const announce = (itemId: string, stream: number): void => {
    if (random.chance(rate("event-lost"))) return;
    const name = `${itemId}-${String(stream).padStart(10, "0")}`;
    const event = {
      type: "Microsoft.Storage.BlobCreated",
      subject: `/blobServices/default/containers/leeward-cache-${name}/blobs/x`,
    };
    for (let copies = random.chance(rate("event-repeated")) ? 2 : 1; copies > 0; copies -= 1) {
      const delayMs = random.chance(rate("event-late")) ? random.below(120_000) : 100 + random.below(400);
      timeline.after(delayMs, () => queues.send("hints", event, 0));
    }
  };
  const apps: AppProcess[] = [];
  let idCount = 0;
  const living = (): AppProcess[] => apps.filter(({ process }) => process.isAlive);
  const durable = createDurableHost({
    timeline,
    worker: () => {
      const found = living();
      const app = found.length === 0 ? undefined : random.pick(found);
      return app && { process: app.process, context: app.application };
    },
    trace,
    wrong: isWrong,
    isRepeated: () => random.chance(rate("activity-repeated")),
    afterActivity: async (name, { itemId }) => {
      if (name === "planItem") await shrinkDisks(world, itemId);
    },
  });
  const startApp = (records: MemoryRecords = control): AppProcess => {
    const process = new SimulatedProcess(`app-${apps.length + 1}`, surroundings);
    const ids = {
      next: () =>
        hashOf(`${plan.seed} id ${(idCount += 1)}`)
          .toString(16)
          .padStart(8, "0")
          .repeat(4),
    };
    const ownControl = recordsOf(process, records);
    const application = {
      stores: storesOf(process, stores),
      control: ownControl,
      tickets: openTickets(ownControl, ids),
      ids,
      access: cacheAccount.access,
      restoreAccess: {
        grantRead: async () => ({ url: "https://target.invalid/restored", expiresMs: timeline.now() + 3_600_000 }),
      },
      queue: {
        send: (message: WorkMessage, delayMs: number) =>
          process.send({ place: "queue", access: "write", operation: `send ${message.kind}` }, () =>
            queues.send(queueOf(message), message, delayMs),
          ),
      },
      management: {
        resourceManager: resourceManagerOf(process, unkind),
        subscriptionId: "s1",
        resourceGroup: "leeward",
        apiUrl: API_URL,
        installScriptUrl: "https://packages.invalid/install-mobility.sh",
      },
      flows: () => durable,
      events: topic.publisherOf(process),
      checkAnswer: requireDescribed,
    };
    const failed = (what: string, error: unknown): void => trace(`${process.name} ${what} failed: ${String(error)}`);
    const started = startAppProcess({ timeline, queues, process, application, failed });
    apps.push(started);
    return started;
  };
  const app = (): AppProcess | undefined => {
    const found = living();
    return found.length === 0 ? undefined : random.pick(found);
  };
  const world: World = {
    plan,
    timeline,
    surroundings,
    random,
    memory,
    stores: bare,
    control,
    cacheAccount,
    manager,
    queues,
    topic,
    machines: plan.machines.map((machine, index) =>
      createMachine(index, machine, plan, surroundings, isWrong, {
        request: (route, request) => world.request(route, request),
        putBlob: cacheAccount.putBlob,
      }),
    ),
    wrong,
    progressListeners: new Set(),
    trace: lines,
    digest: () => digest,
    away,
    isCalm: false,
    putBackMs: 0,
    strangers: new Set(),
    regionLost: false,
    appProcess: app,
    watchStores: (watch) => {
      stores = watch(bare);
      for (let count = plan.appProcesses; count > 0; count -= 1) startApp();
    },
    request: async (route, request) => (await waitForApp(timeline, app, APP_WAIT_MS)).request(route, request),
    loseRegion: () => {
      world.regionLost = true;
      away.add("cache");
      for (const { source } of world.machines) source.destroy();
    },
    bareRequest: async (route, request) => {
      for (const { process } of living()) process.kill();
      for (const place of ["cache", "manager", "topic"] as const) away.add(place);
      const bare = startApp(createMemoryRecords(trueClock));
      let isOver = false;
      const over = (): void => void (isOver = true);
      const asked = bare.request(route, request);
      asked.then(over, over);
      await timeline.runUntil(timeline.now() + BARE_REQUEST_MS, () => isOver);
      bare.process.kill();
      if (!isOver) throw new Error(`${route} had no answer with nothing but the target account`);
      return asked;
    },
    startApp: () => void startApp(),
    killApp: () => app()?.process.kill(),
    killWholeApp: (downMs) => {
      for (const { process } of living()) {
        process.kill();
        timeline.after(downMs, startApp);
      }
    },
    refuseMachine: ({ itemId }, times) => {
      const failed = { kind: "failed", code: "azure-quota-exceeded", azureCode: "QuotaExceeded" } as const;
      manager.fail({
        on: "look",
        change: "put",
        id: `${TARGET_GROUP}/providers/Microsoft.Compute/virtualMachines/${itemId}`,
        times,
        with: failed,
      });
    },
    stallApp: (durationMs) => app()?.process.stall(durationMs),
  };
  seedManager(world);
  for (const timer of ["sweep", "takePoints"] as const)
    every(timeline, TIMER_EVERY_MS[timer], () => app()?.runTimer(timer));
  every(timeline, MANAGER_TICK_MS, () => manager.tick());
  every(timeline, OPERATOR_LOOKS_MS, () => {
    for (const { source } of world.machines) source.lookAfter();
  });
  every(timeline, INSTALLER_MS, () => {
    settleIn(world);
    if (!world.regionLost) for (const machine of world.machines) install(manager, machine);
  });
  return world;
}

/** An operator puts a disk into the group that Leeward made, as soon as it is there. */
function settleIn({ manager, strangers }: World): void {
  if (strangers.size > 0 || !manager.resources.has(TARGET_GROUP.toLowerCase())) return;
  const id = `${TARGET_GROUP}/providers/Microsoft.Compute/disks/operators-own`;
  manager.seed(id, { location: "northeurope", tags: {} });
  strangers.add(id.toLowerCase());
}

/** What the platform does with the extension of a machine. */
function install(manager: MemoryResourceManager, { plan, source, vmId }: ProtectedMachine): void {
  if (plan.protectedBy !== "machine") return;
  const prefix = `${vmId}/extensions/`.toLowerCase();
  const extension = [...manager.resources].find(([id]) => id.startsWith(prefix))?.[1];
  if (extension === undefined) return source.uninstall();
  if (textOf(extension, "properties", "provisioningState") !== "Succeeded") return;
  const script = Buffer.from(textOf(extension, "properties", "protectedSettings", "script") ?? "", "base64");
  const { registrationToken } = readInstallCommand({ kind: "script", text: script.toString("utf8") });
  if (registrationToken !== source.registrationToken) source.install(registrationToken);
}

function every(timeline: Timeline, everyMs: number, run: () => void): void {
  timeline.after(everyMs, () => {
    run();
    every(timeline, everyMs, run);
  });
}

/**
 * While no process of the app runs, its URL accepts connections and does not answer. A request waits for `waitMs`;
 * after that its sender has given up, and it is never handled.
 */
async function waitForApp(timeline: Timeline, app: () => AppProcess | undefined, waitMs: number): Promise<AppProcess> {
  for (let leftMs = waitMs; ; leftMs -= 1_000) {
    const found = app();
    if (found !== undefined) return found;
    if (leftMs <= 0) return new Promise(() => undefined);
    await new Promise<void>((resolve) => void timeline.after(1_000, resolve));
  }
}

/** Page blobs that throttle as on Azure: each refuses requests above its rate. */
function withLimits(stores: ItemStores, clock: Clock, writesPerSecond: number | undefined): ItemStores {
  if (writesPerSecond === undefined) return stores;
  const limits = { requestsPerSecond: writesPerSecond, bytesPerSecond: Infinity, burstBytes: Number.MAX_SAFE_INTEGER };
  return { ...stores, disks: throttledDisks(stores.disks, clock, limits).disks };
}

/** A container accepts blobs from its creation until its removal. */
function withContainers(stores: ItemStores, containers: Set<string>): ItemStores {
  const forget = (itemId: string, stream: number): void => void containers.delete(`${itemId}/${stream}`);
  return {
    ...stores,
    createContainers: async (itemId, stream) => {
      containers.add(`${itemId}/${stream}`);
      await stores.createContainers(itemId, stream);
    },
    removeStream: async (itemId, stream, place) => {
      if (place === "cache") forget(itemId, stream);
      await stores.removeStream(itemId, stream, place);
    },
    removeCacheData: async (itemId, lastStream) => {
      for (const stream of await stores.listStreams(itemId, "cache")) if (stream <= lastStream) forget(itemId, stream);
      await stores.removeCacheData(itemId, lastStream);
    },
  };
}

function createMachine(
  index: number,
  plan: MachinePlan,
  history: HistoryPlan,
  surroundings: Surroundings,
  wrong: (sentence: string) => void,
  network: ConstructorParameters<typeof SourceMachine>[0]["network"],
): ProtectedMachine {
  const itemId = `web-${index + 1}`;
  const random = createRandom(hashOf(`${history.seed} machine ${index}`));
  const diskIds = plan.protectedBy === "machine" ? [`${itemId}-data`, `${itemId}-os`] : ["data", "os"];
  const source = new SourceMachine({
    name: `machine-${index + 1}`,
    itemId,
    diskIds,
    plan,
    surroundings,
    network,
    random,
    wrong,
  });
  return { itemId, plan, source, vmId: `${SOURCE_GROUP}/providers/Microsoft.Compute/virtualMachines/${itemId}` };
}

/** Azure's initial resources: the machines of the source region, the accounts, sizes and quotas. */
function seedManager({ manager, machines }: World): void {
  manager.seed(SOURCE_GROUP, { location: "westeurope" });
  manager.seed(CONTROL_GROUP, { location: "northeurope" });
  manager.seed(textOf(network, "id") ?? "", network);
  for (const [index, { itemId, vmId }] of machines.entries()) {
    for (const resource of [vm, ...disks, nic]) {
      const text = JSON.stringify(resource)
        .replaceAll("web-1", itemId)
        .replaceAll("10.0.1.10", `10.0.1.${10 + index}`);
      const own = JSON.parse(text) as ResourceJson;
      manager.seed(textOf(own, "id") ?? "", own);
    }
    manager.seed(`${vmId}/instanceView`, { statuses: [{ code: "PowerState/running" }] });
  }
  for (const [name, location, purpose] of [
    ["cachewe", "westeurope", "cache"],
    ["targetne", "northeurope", "target"],
  ] as const) {
    const account: ResourceJson = {
      location,
      kind: "StorageV2",
      sku: { name: "Standard_LRS" },
      tags: { "leeward-purpose": purpose },
    };
    manager.seed(`${CONTROL_GROUP}/providers/Microsoft.Storage/storageAccounts/${name}`, account);
  }
  manager.seedList(
    "/subscriptions/s1/providers/Microsoft.Compute/skus",
    ["westeurope", "northeurope"].map((location) => sku("Standard_D4s_v5", { location })),
  );
  for (const provider of ["Compute", "Network"]) {
    manager.seedList(`/subscriptions/s1/providers/Microsoft.${provider}/locations/northeurope/usages`, []);
  }
}

/**
 * Azure has no disk below a gibibyte, which would be too slow to simulate, so the plan gets the sizes of the simulated
 * disks.
 */
async function shrinkDisks({ stores, machines }: World, itemId: string): Promise<void> {
  const machine = machines.find((each) => each.itemId === itemId);
  await changeManaged(stores, itemId, (managed) => {
    const { plan } = managed;
    if (plan === undefined || machine === undefined) return managed;
    const sized = plan.disks.map((disk) => {
      const own = machine.source.disks.find(({ id }) => disk.sourceId.toLowerCase().endsWith(`/${id}`.toLowerCase()));
      return own === undefined ? disk : { ...disk, disk: { ...disk.disk, sizeBytes: own.sizeBytes } };
    });
    return { ...managed, plan: { ...plan, disks: sized } };
  });
}
