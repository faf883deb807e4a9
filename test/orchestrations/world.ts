import { applySlice } from "../../replication/apply/run.ts";
import { LeewardError } from "../../replication/errors.ts";
import type { LeewardEvent } from "../../replication/events/event.ts";
import { findJob } from "../../replication/jobs/job-record.ts";
import type { JobRecord } from "../../replication/jobs/job.ts";
import { SLICE_MS } from "../../replication/limits.ts";
import { manifestName } from "../../replication/names.ts";
import type { FlowContext } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { type OperationRequest, requestOperation } from "../../replication/operations/request.ts";
import type { WorkMessage } from "../../replication/operations/work-queue.ts";
import { type PointManifest, encodePoint, makePointId } from "../../replication/points/manifest.ts";
import type { Timer } from "../../replication/ports.ts";
import { findItem, findReadableItem } from "../../replication/records/item-record.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { textOf } from "../../replication/resources/json.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import { registerService } from "../../replication/service/register.ts";
import { openTickets } from "../../replication/service/tickets.ts";
import { createMemoryRecords } from "../memory/memory-records.ts";
import { type MemoryResourceManager, memoryResourceManager } from "../memory/memory-resource-manager.ts";
import { type MemoryStores, createMemoryStores } from "../memory/memory-stores.ts";
import { type Around, wrapStores } from "../memory/wrapped-stores.ts";
import { SOURCE_GROUP } from "../planning/samples.ts";
import { disks, network, nic, sku, vm } from "../resources/samples.ts";
import { type DriveOptions, type History, drive } from "./driver.ts";

export const SOURCE_VM = `${SOURCE_GROUP}/providers/Microsoft.Compute/virtualMachines/web-1`;
export const TARGET_VM = "/subscriptions/s1/resourceGroups/shop-asr/providers/Microsoft.Compute/virtualMachines/web-1";
const CONTROL = "/subscriptions/s1/resourceGroups/leeward";

export interface FlowWorld extends MemoryStores {
  readonly context: FlowContext;
  readonly resourceManager: MemoryResourceManager;
  /** What the topic was told. */
  readonly told: LeewardEvent[];
  /** Moves the clock, and lets the guest of each installed service do its part. */
  readonly pass: (delayMs: number) => Promise<void>;
  /** Asks for an operation; its run is not driven yet. */
  ask(request: OperationRequest): Promise<{ readonly job: JobRecord; readonly run: FlowRun }>;
  /** Drives a run to its end. */
  finish(run: FlowRun, options?: Partial<DriveOptions>): Promise<JobRecord>;
  /** Asks and finishes. */
  operate(request: OperationRequest, options?: Partial<DriveOptions>): Promise<JobRecord>;
}

export const enable = (itemId = "web-1"): OperationRequest => ({
  operation: "EnableProtection",
  itemId,
  requestId: undefined,
  sourceVmId: SOURCE_VM,
  options: { targetRegion: "northeurope" },
  policy: undefined,
});

export const failover = (itemId = "web-1"): OperationRequest => ({
  operation: "UnplannedFailover",
  itemId,
  requestId: undefined,
  point: { kind: "LatestProcessed" },
  shutDownSource: true,
});

export const plainOperation = (operation: "Commit" | "DisableProtection", itemId = "web-1"): OperationRequest => ({
  operation,
  itemId,
  requestId: undefined,
});

export interface FlowWorldOptions {
  /** Looks that each change of a resource takes. */
  readonly looks?: number;
  /** What happens to calls of the stores. */
  readonly around?: Around;
  /** Answers for the topic before it takes anything. */
  readonly topic?: () => Promise<void>;
}

export function flowWorld({ looks = 1, around = (_call, run) => run(), topic }: FlowWorldOptions = {}): FlowWorld {
  let nowMs = Date.UTC(2026, 0, 15);
  let ids = 0;
  const clock = { now: () => nowMs };
  const memory = createMemoryStores(clock);
  const stores = { ...memory, stores: wrapStores(memory.stores, around) };
  const resourceManager = memoryResourceManager({ looks });
  seed(resourceManager);
  const told: LeewardEvent[] = [];
  const sent: WorkMessage[] = [];
  const control = createMemoryRecords(clock);
  const context: FlowContext = {
    control,
    tickets: openTickets(control, { next: () => "ab".repeat(16) }),
    queue: { send: async (message) => void sent.push(message) },
    events: { publish: async (events) => (await topic?.(), void told.push(...events)) },
    stores: stores.stores,
    clock,
    ids: { next: () => (ids += 1).toString(16).padStart(32, "0") },
    management: {
      resourceManager,
      subscriptionId: "s1",
      resourceGroup: "leeward",
      apiUrl: "https://app.invalid/api",
      installScriptUrl: "https://packages.invalid/install-mobility.sh",
    },
  };
  const runs: FlowRun[] = [];
  const pass = async (delayMs: number): Promise<void> => {
    nowMs += delayMs;
    resourceManager.tick();
    await guests(context, resourceManager);
    // What a worker throws gives the message back to the queue.
    for (const message of sent.splice(0))
      if (message.kind === "hint") await work(context, message.itemId).catch(() => undefined);
  };
  const jobOf = async ({ itemId, jobId }: FlowRun): Promise<JobRecord> => {
    const job = await findJob(stores.stores, itemId, jobId);
    if (job === undefined) throw new Error("the job has a record");
    return job;
  };
  const ask: FlowWorld["ask"] = async (request) => {
    const job = await requestOperation(context, request, async (run) => void runs.push(run));
    const run = runs.findLast(({ jobId }) => jobId === job.jobId);
    if (run === undefined) throw new Error("the flow was started");
    return { job, run };
  };
  const finish: FlowWorld["finish"] = async (run, options = {}) => {
    await drive(context, run, { onWait: pass, ...options });
    return jobOf(run);
  };
  return {
    ...stores,
    context,
    resourceManager,
    told,
    pass,
    ask,
    finish,
    operate: async (request, options) => finish((await ask(request)).run, options),
  };
}

/** A world whose item is protected and has a point. */
export async function protectedWorld(options: FlowWorldOptions = {}): Promise<FlowWorld> {
  const world = flowWorld(options);
  const job = await world.operate(enable());
  if (job.state !== "Succeeded") throw new Error(JSON.stringify(job.errors));
  return world;
}

export const emptyHistory = (): History => ({ steps: [], results: [] });

function seed(resourceManager: MemoryResourceManager): void {
  resourceManager.seed(SOURCE_GROUP, { location: "westeurope" });
  resourceManager.seed(CONTROL, { location: "northeurope" });
  for (const resource of [vm, ...disks, nic, network]) resourceManager.seed(textOf(resource, "id") ?? "", resource);
  const view = { statuses: [{ code: "PowerState/running" }] };
  resourceManager.seed(`${SOURCE_VM}/instanceView`, view);
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
    resourceManager.seed(`${CONTROL}/providers/Microsoft.Storage/storageAccounts/${name}`, account);
  }
  const locations = ["westeurope", "northeurope"];
  resourceManager.seedList(
    "/subscriptions/s1/providers/Microsoft.Compute/skus",
    locations.map((location) => sku("Standard_D4s_v5", { location })),
  );
  for (const provider of ["Compute", "Network"]) {
    resourceManager.seedList(`/subscriptions/s1/providers/Microsoft.${provider}/locations/northeurope/usages`, []);
  }
}

/** The function app's own worker, as a hint wakes it; what fails goes back to the queue, and is of no interest here. */
async function work({ stores, clock, ids }: FlowContext, itemId: string): Promise<void> {
  const timer: Timer = { pause: async () => undefined };
  await applySlice(
    { stores, clock, timer, holder: ids.next(), deadlineMs: clock.now() + SLICE_MS, log: () => undefined },
    itemId,
  ).catch((error: unknown) => {
    if (!(error instanceof LeewardError)) throw error;
  });
}

/** What an installed mobility service brings about: it registers, and its first epoch becomes a recovery point. */
async function guests(context: FlowContext, resourceManager: MemoryResourceManager): Promise<void> {
  for (const resource of resourceManager.resources.values()) {
    const script = textOf(resource, "properties", "protectedSettings", "script");
    if (script === undefined || textOf(resource, "properties", "provisioningState") !== "Succeeded") continue;
    const settings = settingsOf(script) as {
      readonly itemId: string;
      readonly registrationToken: string;
    };
    const { itemId, registrationToken } = settings;
    const item = await findReadableItem(context.stores, itemId);
    if (item?.registrationHash === undefined) continue;
    const who = { machineId: "machine", bootId: "boot", itemToken: "ab".repeat(32) };
    // The token of an installation that was begun again has ended; the next command brings another.
    const secret = registrationToken.split(".")[1] ?? "";
    const registered = await registerService(context, itemId, {
      ...who,
      registrationToken: secret,
      disks: item.disks,
    }).catch(() => undefined);
    if (registered !== undefined) await addPoint(context, itemId);
  }
}

/** What an install script hands on. */
export function settingsOf(script: string): unknown {
  const encoded = /SETTINGS'\n(.*)\nSETTINGS/s.exec(Buffer.from(script, "base64").toString())?.[1] ?? "";
  return JSON.parse(Buffer.from(encoded, "base64").toString());
}

/** One epoch applied, and a recovery point of it. */
export async function addPoint(context: FlowContext, itemId: string): Promise<PointManifest> {
  const { stores, clock } = context;
  const item = (await findItem(stores, itemId))?.item;
  const stored = await readProgress(stores.records(itemId));
  if (item === undefined || stored === undefined) throw new Error("the item replicates");
  const { applied, stream } = stored.progress;
  const position = { ...applied, epoch: applied.epoch + 1 };
  const targetTimeMs = clock.now();
  const pointId = makePointId(targetTimeMs, String(position.epoch));
  const snapshots = await Promise.all(
    item.disks.map(async (disk) => {
      const target = { itemId, stream, diskId: disk.id };
      const found = await stores.disks.properties(target);
      const snapshot = await stores.disks.snapshot(target, found?.etag ?? "", pointId);
      return { ...disk, snapshot: snapshot ?? "" };
    }),
  );
  const times = { sourceTimeMs: targetTimeMs, targetTimeMs };
  const manifest: PointManifest = {
    version: 1,
    kind: "point",
    pointId,
    itemId,
    stream,
    position,
    ...times,
    skewMs: undefined,
    consistency: "crash",
    generation: 0,
    disks: snapshots,
  };
  await stores.records(itemId).create(manifestName(pointId), encodePoint(manifest));
  const lastPoint = { pointId, stream, epoch: position.epoch, ...times };
  await replaceProgress(stores.records(itemId), stored, {
    ...stored.progress,
    applied: position,
    intent: position,
    seeding: false,
    appliedSourceMs: targetTimeMs,
    lastPoint,
  });
  return manifest;
}
