import type { OrchestrationHandler } from "durable-functions";
import { describe, expect, it, vi } from "vitest";
import { registerFlows } from "../../orchestrations/durable.ts";
import { openMemoryStore } from "../../packages/azure-local/functions-host/durable/stores/memory-store.ts";
import { type Functions, type World, makeWorld } from "../../packages/azure-local/test/functions-host/durable/world.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import {
  FLOW_VERSION,
  FLOW_VERSIONS,
  type FlowRun,
  type FlowVersion,
  orchestratorOf,
} from "../../replication/operations/flow-run.ts";
import { FLOW_SCENARIOS, type FlowScenario } from "./flow-scenarios.ts";
import type { FlowWorld } from "./world.ts";

type ActivityHandler = (request: unknown, context: { readonly warn: () => void }) => unknown;

/** What the app registers, as `registerFlows` says it. */
const app = vi.hoisted(() => ({
  orchestrators: new Map<string, unknown>(),
  activities: new Map<string, unknown>(),
}));

vi.mock("durable-functions", async (original) => ({
  ...(await original<Record<string, unknown>>()),
  app: {
    orchestration: (name: string, handler: unknown) => void app.orchestrators.set(name, handler),
    activity: (name: string, { handler }: { readonly handler: unknown }) => void app.activities.set(name, handler),
  },
}));

/** The functions of an app that knows the versions up to this one, on a host whose activities act in a world. */
function functionsUpTo(last: FlowVersion, world: FlowWorld): Functions {
  app.orchestrators.clear();
  registerFlows(() => world.context);
  const later = FLOW_VERSIONS.filter((version) => version > last).map(orchestratorOf);
  const orchestrators = [...app.orchestrators].filter(([name]) => !later.includes(name));
  const activities = [...app.activities].map(([name, handler]) => [
    name,
    (request: unknown) => (handler as ActivityHandler)(request, { warn: () => undefined }),
  ]);
  return {
    orchestrators: Object.fromEntries(orchestrators) as Readonly<Record<string, OrchestrationHandler>>,
    activities: Object.fromEntries(activities) as NonNullable<Functions["activities"]>,
  };
}

const STEP_MS = 5_000;

/** Lets time pass for the engine and for the world until it holds. */
async function passUntil(holds: () => boolean, engine: World, world: FlowWorld): Promise<void> {
  for (let turn = 0; turn < 1_000; turn += 1) {
    await engine.idle();
    if (holds()) return;
    await world.pass(STEP_MS);
    await engine.clock.advance(STEP_MS);
  }
  throw new Error("The flow does not end.");
}

const hasEnded = (engine: World, { jobId }: FlowRun): boolean =>
  ["Completed", "Failed", "Terminated"].includes(engine.engine.find(jobId)?.status ?? "");

/** Begins a run in the app of its time, stops it after so many activities, and goes on in the app of today. */
async function upgraded({ open, request }: FlowScenario, version: FlowVersion, activities: number) {
  const world = await open();
  const run: FlowRun = { ...(await world.ask(request)).run, version };
  const store = openMemoryStore();
  let stoppedMs: number;
  {
    await using before = await makeWorld(functionsUpTo(version, world), { store });
    await before.start(orchestratorOf(version), run, run.jobId);
    await passUntil(() => before.runs.length >= activities || hasEnded(before, run), before, world);
    stoppedMs = before.clock.nowMs();
  }
  await using after = await makeWorld(functionsUpTo(FLOW_VERSION, world), { store, startMs: stoppedMs });
  await passUntil(() => hasEnded(after, run), after, world);
  const [status, output] = await after.ended(run.jobId);
  return { status, output, state: (await readManaged(world.stores, "web-1")).situation.state, later: after.runs };
}

const CASES = [
  ["enable-protection", "into an empty region", ["InitialReplicationInProgress", "Protected"]],
  ["unplanned-failover", "with a source that stays busy", ["FailoverCommitPending"]],
  ["commit-failover", "of a young point", ["FailoverCommitted"]],
  ["disable-protection", "of an item that replicates", ["Unprotected"]],
] as const;
const POINTS = [1, 4, 7, 10] as const;

describe.each(FLOW_VERSIONS.filter((version) => version !== FLOW_VERSION))(
  "on the durable engine, a run of version %i that an upgrade meets",
  (version) => {
    it.each(CASES)("%s %s goes on and ends", async (flow, name, states) => {
      const scenario = FLOW_SCENARIOS.find((each) => each.flow === flow && each.name === name);
      if (scenario === undefined) throw new Error("there is no such scenario");
      let goneOn = 0;
      for (const activities of POINTS) {
        const { status, output, state, later } = await upgraded(scenario, version, activities);
        expect([activities, status, output]).toEqual([activities, "Completed", { state: "Succeeded" }]);
        expect(states).toContain(state);
        goneOn += later.length > 0 ? 1 : 0;
      }
      expect(goneOn).toBeGreaterThan(1);
    });
  },
);
