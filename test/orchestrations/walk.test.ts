import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { findJob } from "../../replication/jobs/job-record.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import { FLOW_STAGE_MAX_MS, FLOW_STEP_MAX_BEGINS } from "../../replication/limits.ts";
import { type FlowContext, managementOf } from "../../replication/operations/context.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import type { Change, ResourceManager } from "../../replication/resources/resource-manager.ts";
import { drive } from "./driver.ts";
import { type FlowWorld, TARGET_VM, emptyHistory, enable, failover, flowWorld, protectedWorld } from "./world.ts";

const DISK = "/providers/Microsoft.Compute/disks/";
const TARGET_GROUP = "/resourceGroups/shop-asr/";

/** The same world with another Resource Manager before its own. */
function behind({ context }: FlowWorld, around: (real: ResourceManager) => Partial<ResourceManager>): FlowContext {
  const management = managementOf(context);
  const { resourceManager } = management;
  return {
    ...context,
    management: { ...management, resourceManager: { ...resourceManager, ...around(resourceManager) } },
  };
}

/** Counts all requests that a walk makes, and loses one of them: nothing was done, or only the answer was lost. */
function losing(
  world: FlowWorld,
  lost: number,
  when: "before" | "after",
): { readonly context: FlowContext; readonly count: () => number } {
  let count = 0;
  const strike = async <Result>(request: () => Promise<Result>): Promise<Result> => {
    count += 1;
    const isLost = count === lost;
    if (isLost && when === "before") throw new LeewardError("azure-unavailable", "Lost on purpose.");
    const result = await request();
    if (isLost) throw new LeewardError("azure-unavailable", "Its answer was lost on purpose.");
    return result;
  };
  const context = behind(world, (real) => ({
    read: (id) => strike(() => real.read(id)),
    begin: (change) => strike(() => real.begin(change)),
    poll: (operation) => strike(() => real.poll(operation)),
  }));
  return { context, count: () => count };
}

describe("a walk", () => {
  it.each([
    ["enabling", async () => flowWorld(), enable, "InitialReplicationInProgress"],
    ["failover", () => protectedWorld(), failover, "FailoverCommitPending"],
  ] as const)(
    "rule 10: any one request of %s may be lost, undone or done, and everything stands once",
    async (_, open, request, end) => {
      const world = await open();
      const { run } = await world.ask(request());
      const counted = losing(world, 0, "before");
      await drive(counted.context, run, { onWait: world.pass });
      const ids = [...world.resourceManager.resources.keys()].toSorted();
      expect(counted.count()).toBeGreaterThan(10);
      for (const when of ["before", "after"] as const) {
        for (let lost = 1; lost <= counted.count(); lost += 1) {
          const struck = await open();
          const asked = await struck.ask(request());
          const ended = await drive(losing(struck, lost, when).context, asked.run, { onWait: struck.pass });
          expect([lost, ended?.state, (await readManaged(struck.stores, "web-1")).situation.state]).toEqual([
            lost,
            "Succeeded",
            end,
          ]);
          expect([...struck.resourceManager.resources.keys()].toSorted()).toEqual(ids);
          const states = (await readLedger(struck.stores, "web-1")).entries.map(({ state }) => state);
          expect([lost, new Set(states)]).toEqual([lost, new Set(["created"])]);
        }
      }
    },
  );

  it("writes every resource of a stage into the ledger before it begins the first of them", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    const begun: string[] = [];
    const known: (readonly string[])[] = [];
    const context = behind(world, (real) => ({
      begin: async (change: Change) => {
        if (change.kind === "put") {
          begun.push(change.id);
          known.push((await readLedger(world.stores, "web-1")).entries.map(({ id }) => id));
        }
        return real.begin(change);
      },
    }));
    await drive(context, run, { onWait: world.pass });
    const disks = begun.filter((id) => id.includes(DISK));
    expect(disks.length).toBeGreaterThan(1);
    for (const [at, id] of begun.entries())
      expect(known[at]).toEqual(expect.arrayContaining(id.includes(DISK) ? disks : [id]));
  });

  it("begins nothing of a stage in which one resource is somebody else's", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    const probe = await protectedWorld();
    await probe.operate(failover());
    const disk = [...probe.resourceManager.resources.keys()].findLast(
      (id) => id.includes(DISK.toLowerCase()) && id.includes("shop-asr"),
    );
    world.resourceManager.seed(disk ?? "", { location: "northeurope" });
    const job = await world.finish(run);
    expect(job).toMatchObject({
      state: "Failed",
      errors: [{ taskName: "CreateMachine", code: "azure-resource-conflict" }],
    });
    expect(
      world.resourceManager.requests.filter((request) => request.startsWith("begin put") && request.includes(DISK)),
    ).toEqual([]);
    expect(world.resourceManager.resources.has(TARGET_VM.toLowerCase())).toBe(false);
  });

  it("has the changes of a stage under way side by side, and looks at all of them after one pause", async () => {
    const world = await protectedWorld({ looks: 3 });
    const { run } = await world.ask(failover());
    const history = emptyHistory();
    await world.finish(run, { history });
    const begins = world.resourceManager.requests.flatMap((request, at) =>
      request.startsWith("begin put") && request.includes(DISK) ? [at] : [],
    );
    const firstLook = world.resourceManager.requests.findIndex(
      (request) => request.startsWith("look put") && request.includes(DISK),
    );
    expect(begins.length).toBeGreaterThan(1);
    expect(Math.max(...begins)).toBeLessThan(firstLook);
    expect(history.steps.filter((step) => step.includes('"name":"advanceWalk"')).length).toBeLessThan(8);
  });

  it("gives up a change that Azure fails again and again", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    const failing = { kind: "failed", code: "azure-no-capacity", azureCode: "AllocationFailed" } as const;
    world.resourceManager.fail({
      on: "look",
      change: "put",
      id: `${TARGET_GROUP}providers/Microsoft.Compute/virtualMachines/`,
      times: 99,
      with: failing,
    });
    expect(await world.finish(run)).toMatchObject({
      state: "Failed",
      errors: [{ taskName: "CreateMachine", code: "azure-no-capacity" }],
    });
    const begins = world.resourceManager.requests.filter((request) => request === `begin put ${TARGET_VM}`);
    expect(begins).toHaveLength(FLOW_STEP_MAX_BEGINS);
  });

  it("gives up a change that never ends", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    const beganMs = world.context.clock.now();
    const context = behind(world, () => ({
      poll: async (operation) => ({ kind: "running", operation, retryAfterMs: 600_000 }),
    }));
    expect(await drive(context, run, { onWait: world.pass })).toEqual({ state: "Failed" });
    const job = await findJob(world.stores, "web-1", run.jobId);
    const failure = {
      taskName: "CreateMachine",
      code: "azure-unavailable",
      message: expect.stringMatching(/within \d+ minutes/),
    };
    expect(job?.errors.at(-1)).toMatchObject(failure);
    expect(world.context.clock.now() - beganMs).toBeGreaterThan(FLOW_STAGE_MAX_MS);
  });

  it("counts the failures of each change for itself", async () => {
    const probe = await protectedWorld();
    await probe.operate(failover());
    const disks = probe.resourceManager.requests.filter(
      (request) => request.startsWith("begin put") && request.includes(DISK),
    ).length;
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    const failing = { kind: "failed", code: "azure-no-capacity", azureCode: "InternalExecutionError" } as const;
    // They are begun side by side, so that each of them gets as many.
    world.resourceManager.fail({
      on: "look",
      change: "put",
      id: DISK,
      times: (FLOW_STEP_MAX_BEGINS - 1) * disks,
      with: failing,
    });
    expect(disks).toBeGreaterThan(1);
    expect(await world.finish(run)).toMatchObject({ state: "Succeeded", errors: [] });
  });
});
