import { LeewardError } from "../../replication/errors.ts";
import { CLAIM_MS } from "../../replication/limits.ts";
import type { OperationRequest } from "../../replication/operations/request.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import type { Flow } from "../../replication/states/states.ts";
import { SOURCE_GROUP } from "../planning/samples.ts";
import { drive } from "./driver.ts";
import {
  type FlowWorld,
  type FlowWorldOptions,
  SOURCE_VM,
  addPoint,
  emptyHistory,
  enable,
  failover,
  flowWorld,
  plainOperation,
  protectedWorld,
} from "./world.ts";

/** A run whose steps are written down for each version: together they take every way through a flow. */
export interface FlowScenario {
  readonly flow: Flow;
  readonly name: string;
  readonly open: () => Promise<FlowWorld>;
  readonly request: OperationRequest;
}

const failoverTo = (point: "Latest" | "LatestProcessed", shutDownSource: boolean): OperationRequest =>
  ({ ...failover(), point: { kind: point }, shutDownSource }) as OperationRequest;

const FOR_EVER = Number.POSITIVE_INFINITY;

/** A protected item, with something done to its world. */
const protectedAnd = (change: (world: FlowWorld) => unknown, options?: FlowWorldOptions) => async () => {
  const world = await protectedWorld(options);
  await change(world);
  return world;
};

async function failedOver(): Promise<FlowWorld> {
  const world = await protectedWorld();
  await world.operate(failover());
  return world;
}

/** A failover that fails when its machine is made: the next one finds what it left. */
async function failedHalfway(world: FlowWorld): Promise<void> {
  const quota = { kind: "failed", code: "azure-quota-exceeded" } as const;
  world.resourceManager.fail({ on: "begin", change: "put", id: "virtualMachines", times: 1, with: quota });
  await world.operate(failover());
}

/** The cache account and Resource Manager of the source region answer no more, once `isGone` is set. */
async function sourceGone(): Promise<FlowWorld> {
  let isGone = false;
  const world = await protectedWorld({
    around: async (call, run) => {
      if (isGone && call.port === "cache") throw new LeewardError("store-unavailable", "The source region is gone.");
      return run();
    },
  });
  isGone = true;
  for (const on of ["begin", "look", "read", "list"] as const)
    world.resourceManager.fail({ on, id: `${SOURCE_GROUP}/`, times: FOR_EVER, with: { kind: "unavailable" } });
  return world;
}

/** A worker that holds the claim when the flow begins. */
async function hold(world: FlowWorld): Promise<void> {
  const stored = await readProgress(world.stores.records("web-1"));
  if (stored === undefined) throw new Error("the item replicates");
  const expiresMs = world.context.clock.now() + CLAIM_MS;
  await replaceProgress(world.stores.records("web-1"), stored, { ...stored.progress, holder: "worker", expiresMs });
}

/** An enabling that stopped in its middle: what comes now takes over from it. */
async function halfEnabled(): Promise<FlowWorld> {
  const world = flowWorld();
  const { run } = await world.ask(enable());
  await drive(world.context, run, { history: emptyHistory(), onWait: world.pass, dieAfter: 8 });
  return world;
}

const busySource = (world: FlowWorld): void =>
  world.resourceManager.fail({ on: "begin", id: SOURCE_VM, times: FOR_EVER, with: { kind: "busy" } });

const forbiddenSource = (world: FlowWorld): void =>
  world.resourceManager.fail({
    on: "begin",
    change: "act",
    times: 1,
    with: { kind: "failed", code: "azure-not-authorized" },
  });

const failingNetwork = async (): Promise<FlowWorld> => {
  const world = flowWorld();
  const quota = { kind: "failed", code: "azure-quota-exceeded" } as const;
  world.resourceManager.fail({ on: "begin", change: "put", id: "virtualNetworks", times: 1, with: quota });
  return world;
};

export const FLOW_SCENARIOS: readonly FlowScenario[] = [
  {
    flow: "enable-protection",
    name: "into an empty region",
    open: async () => flowWorld(),
    request: enable(),
  },
  {
    flow: "enable-protection",
    name: "while Azure is slow",
    open: async () => flowWorld({ looks: 3 }),
    request: enable(),
  },
  {
    flow: "enable-protection",
    name: "refused by a quota",
    open: failingNetwork,
    request: enable(),
  },
  {
    flow: "unplanned-failover",
    name: "with a source that is shut down",
    open: () => protectedWorld(),
    request: failoverTo("LatestProcessed", true),
  },
  {
    flow: "unplanned-failover",
    name: "that leaves the source alone",
    open: () => protectedWorld(),
    request: failoverTo("LatestProcessed", false),
  },
  {
    flow: "unplanned-failover",
    name: "to the latest state, while Azure is slow",
    open: () => protectedWorld({ looks: 3 }),
    request: failoverTo("Latest", true),
  },
  {
    flow: "unplanned-failover",
    name: "with a source that must not be shut down",
    open: protectedAnd(forbiddenSource),
    request: failoverTo("LatestProcessed", true),
  },
  {
    flow: "unplanned-failover",
    name: "with a source that stays busy",
    open: protectedAnd(busySource),
    request: failoverTo("LatestProcessed", true),
  },
  {
    flow: "unplanned-failover",
    name: "without the source region",
    open: sourceGone,
    request: failoverTo("LatestProcessed", true),
  },
  {
    flow: "unplanned-failover",
    name: "after one that failed halfway",
    open: protectedAnd(failedHalfway),
    request: failoverTo("LatestProcessed", true),
  },
  {
    flow: "commit-failover",
    name: "of points that have settled",
    open: failedOver,
    request: plainOperation("Commit"),
  },
  {
    flow: "commit-failover",
    name: "of a young point",
    open: async () => {
      const world = await failedOver();
      await addPoint(world.context, "web-1");
      return world;
    },
    request: plainOperation("Commit"),
  },
  {
    flow: "disable-protection",
    name: "of an item that replicates",
    open: () => protectedWorld(),
    request: plainOperation("DisableProtection"),
  },
  {
    flow: "disable-protection",
    name: "while a worker is in the middle, and Azure is slow",
    open: protectedAnd(hold, { looks: 3 }),
    request: plainOperation("DisableProtection"),
  },
  {
    flow: "disable-protection",
    name: "without the source region",
    open: sourceGone,
    request: plainOperation("DisableProtection"),
  },
  {
    flow: "disable-protection",
    name: "of a machine that was failed over and committed",
    open: async () => {
      const world = await failedOver();
      await world.operate(plainOperation("Commit"));
      return world;
    },
    request: plainOperation("DisableProtection"),
  },
  {
    flow: "disable-protection",
    name: "that takes over from an enabling that hangs",
    open: halfEnabled,
    request: plainOperation("DisableProtection"),
  },
];
