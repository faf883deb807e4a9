import { describe, expect, it } from "vitest";
import { growingPauseMs } from "../../orchestrations/steps.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { changeJob, ensureJob, findJob, forgetOldJobs, listJobs } from "../../replication/jobs/job-record.ts";
import { type JobRecord, failJob, jobIdOf, succeedJob } from "../../replication/jobs/job.ts";
import { changeManaged, readManaged } from "../../replication/jobs/managed-item.ts";
import { JOBS_KEPT_MAX_COUNT } from "../../replication/limits.ts";
import { FLOW_VERSION, type FlowRun } from "../../replication/operations/flow-run.ts";
import { requestOperation, requireRepairable, reconcileFlow } from "../../replication/operations/request.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { readProgress } from "../../replication/records/progress.ts";
import { drive } from "./driver.ts";
import { type FlowWorld, enable, failover, flowWorld, plainOperation, protectedWorld } from "./world.ts";

const noFlow = async (): Promise<void> => {
  throw new Error("The app has ended.");
};

/** A host that remembers what was started, and says of each run how it stands. */
function host(): {
  readonly started: FlowRun[];
  readonly states: Map<string, "open" | "ended">;
  readonly flows: Parameters<typeof reconcileFlow>[2];
} {
  const started: FlowRun[] = [];
  const states = new Map<string, "open" | "ended">();
  const start = async (run: FlowRun): Promise<void> => {
    started.push(run);
    states.set(run.jobId, "open");
  };
  return { started, states, flows: { start, stateOf: async (jobId) => states.get(jobId) } };
}

const storedState = async (world: FlowWorld): Promise<string> =>
  (await readManaged(world.stores, "web-1")).situation.state;

describe("asking for an operation", () => {
  it("the same request id is the same job, while it runs and after it ended; another request under it is refused", async () => {
    const world = flowWorld();
    const request = { ...enable(), requestId: "mine" };
    const { job, run } = await world.ask(request);
    expect((await world.ask(request)).job.jobId).toBe(job.jobId);
    expect((await world.finish(run)).state).toBe("Succeeded");
    expect(await requestOperation(world.context, request, async () => expect.unreachable())).toMatchObject({
      jobId: job.jobId,
      state: "Succeeded",
    });
    await expect(world.ask({ ...failover(), requestId: "mine" })).rejects.toMatchObject({ code: "conflict" });
  });

  it.each([
    ["names version 3", 3, 3],
    ["names none, as those of before versions were named", undefined, 3],
    ["names one that this app no longer runs", 1, FLOW_VERSION],
    ["is of this app", FLOW_VERSION, FLOW_VERSION],
  ])(
    "a job that was never started begins under the version of its tasks: one that %s",
    async (_name, made, version) => {
      for (const again of ["request", "sweep"] as const) {
        const world = flowWorld();
        const request = { ...enable(), requestId: "mine" };
        await expect(requestOperation(world.context, request, noFlow)).rejects.toThrow("ended");
        const jobId = jobIdOf("web-1", "mine");
        await changeJob(world.stores, "web-1", jobId, (job) => ({ ...job, flowVersion: made }));
        const { started, flows } = host();
        if (again === "sweep") await reconcileFlow(world.context, "web-1", flows);
        else await requestOperation(world.context, request, flows.start);
        expect(started).toEqual([{ version, itemId: "web-1", jobId, flow: "enable-protection" }]);
      }
    },
  );

  it("a job names the version of its tasks", async () => {
    const { job } = await flowWorld().ask(enable());
    expect(job.flowVersion).toBe(FLOW_VERSION);
  });

  it("a refusal names what is possible, and ends its job as failed", async () => {
    const world = flowWorld();
    await world.operate(enable());
    const refused = world.ask({ ...enable(), requestId: "again" });
    await expect(refused).rejects.toMatchObject({
      code: "operation-not-allowed",
      facts: {
        reason: "already-protected",
        allowedOperations: "DisableProtection, UnplannedFailover, RepairReplication",
      },
    });
    expect((await listJobs(world.stores, "web-1")).jobs.map(({ state }) => state).toSorted()).toEqual([
      "Failed",
      "Succeeded",
    ]);
  });

  it("a job that has ended stands in nobody's way, though the item does not know of its end yet", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    await drive(world.context, run, {
      onWait: world.pass,
      strike: (name) => (name === "closeJob" ? "before" : undefined),
    }).catch(() => {});
    await changeJob(world.stores, "web-1", run.jobId, (job) => succeedJob(job, world.context.clock.now()));
    expect(await storedState(world)).toBe("FailoverInProgress");
    expect((await world.operate(plainOperation("Commit"))).state).toBe("Succeeded");
  });

  it("keeps a bounded number of jobs: the oldest that have ended go", async () => {
    const world = flowWorld();
    const first = (await world.ask(enable())).job;
    for (let count = 0; count < JOBS_KEPT_MAX_COUNT + 5; count += 1) {
      await world.pass(1000);
      await expect(world.ask({ ...failover(), requestId: `refused-${count}` })).rejects.toMatchObject({
        code: "operation-not-allowed",
      });
    }
    const { jobs } = await listJobs(world.stores, "web-1");
    expect(jobs).toHaveLength(JOBS_KEPT_MAX_COUNT);
    expect(jobs.at(-1)?.jobId).toBe(first.jobId);
    expect(await findJob(world.stores, "web-1", jobIdOf("web-1", "refused-0"))).toBeUndefined();
    expect(await findJob(world.stores, "web-1", jobIdOf("web-1", `refused-${JOBS_KEPT_MAX_COUNT + 4}`))).toBeDefined();
  });

  it("keeps the job that holds the item, even when its record says that it has ended", async () => {
    const world = flowWorld();
    const first = (await world.ask(enable())).job;
    const ended = (job: JobRecord): JobRecord =>
      failJob(job, { code: "internal", message: "", hint: "" }, world.context.clock.now());
    await changeJob(world.stores, "web-1", first.jobId, ended);
    for (let count = 0; count < JOBS_KEPT_MAX_COUNT + 1; count += 1) {
      await world.pass(1000);
      const jobId = jobIdOf("web-1", `other-${count}`);
      const later = { ...first, jobId, startedMs: world.context.clock.now() };
      await ensureJob(world.stores, ended(later));
    }
    await forgetOldJobs(world.stores, "web-1", first.jobId);
    const { jobs } = await listJobs(world.stores, "web-1");
    expect([jobs.length, jobs.at(-1)?.jobId]).toEqual([JOBS_KEPT_MAX_COUNT, first.jobId]);
  });

  it("an item that was protected by its disks is not a machine", async () => {
    const world = flowWorld();
    const disks = [{ id: "os", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 }] as const;
    await protectItem(world.context, { itemId: "web-1", disks, policy: undefined });
    await expect(world.ask(enable())).rejects.toMatchObject({ code: "item-exists" });
    await expect(world.ask(failover())).rejects.toMatchObject({ code: "item-unknown" });
    await expect(requireRepairable(world.context, "web-1")).resolves.toBeUndefined();
  });

  it("an app that only replicates says what is missing", async () => {
    const world = flowWorld();
    const context = { ...world.context, management: undefined };
    await expect(requestOperation(context, enable(), async () => {})).rejects.toMatchObject({
      code: "configuration-invalid",
    });
    expect(await world.stores.listItems(10)).toEqual([]);
  });

  it("initial replication is repaired when it has stopped, for whatever reason, and not before", async () => {
    const world = flowWorld();
    await drive(world.context, (await world.ask(enable())).run, { onWait: world.pass });
    await changeManaged(world.stores, "web-1", (item) => ({
      ...item,
      situation: { ...item.situation, state: "InitialReplicationInProgress" },
    }));
    const stored = await readProgress(world.stores.records("web-1"));
    if (stored === undefined) throw new Error("the item has progress");
    const seeding = { ...stored.progress, seeding: true, lastPoint: undefined };
    await world.stores.records("web-1").put("progress.json", encodeRecord(seeding));
    await expect(requireRepairable(world.context, "web-1")).rejects.toMatchObject({ code: "operation-not-allowed" });
    const stopped = { code: "position-gap", message: "", hint: "", facts: {}, atMs: 0 };
    await world.stores.records("web-1").put("progress.json", encodeRecord({ ...seeding, stopped }));
    await expect(requireRepairable(world.context, "web-1")).resolves.toBeUndefined();
    await world.stores.records("web-1").put("progress.json", new Uint8Array([1]));
    await expect(requireRepairable(world.context, "web-1")).resolves.toBeUndefined();
  });

  it("replication is not repaired while the item fails over", async () => {
    const world = await protectedWorld();
    await expect(requireRepairable(world.context, "web-1")).resolves.toBeUndefined();
    await world.ask(failover());
    await expect(requireRepairable(world.context, "web-1")).rejects.toMatchObject({ code: "operation-not-allowed" });
  });
});

describe("the sweep", () => {
  it("starts the flow that a crash left unstarted, once", async () => {
    const world = flowWorld();
    const { started, flows } = host();
    await requestOperation(world.context, enable(), async () => Promise.reject(new Error("the process died"))).catch(
      () => undefined,
    );
    await reconcileFlow(world.context, "web-1", flows);
    await reconcileFlow(world.context, "web-1", flows);
    expect(started).toHaveLength(1);
    const [run] = started;
    if (run === undefined) throw new Error("it was started");
    expect((await world.finish(run)).state).toBe("Succeeded");
  });

  it("ends the job of a flow that ended without a word, and reports it", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(plainOperation("DisableProtection"));
    // The end itself cannot be written.
    await expect(
      drive(world.context, run, { onWait: world.pass, strike: (name) => (name === "closeJob" ? "before" : undefined) }),
    ).rejects.toThrow("Struck on purpose.");
    expect(await storedState(world)).toBe("DisablingProtection");
    const { states, flows } = host();
    states.set(run.jobId, "ended");
    await reconcileFlow(world.context, "web-1", flows);
    expect(await storedState(world)).toBe("DisableFailed");
    expect(await findJob(world.stores, "web-1", run.jobId)).toMatchObject({
      state: "Failed",
      errors: [{ code: "internal" }],
    });
    expect((await world.operate(plainOperation("DisableProtection"))).state).toBe("Succeeded");
  });

  it("stores what replication reports", async () => {
    const world = await protectedWorld();
    expect(await storedState(world)).toBe("InitialReplicationInProgress");
    await reconcileFlow(world.context, "web-1", host().flows);
    expect(await storedState(world)).toBe("Protected");
  });
});

describe("a long wait", () => {
  it("asks as told at first, ever more rarely later, and never less often than each minute unless told so", () => {
    expect([0, 16_000, 160_000, 3_600_000].map((waitedMs) => growingPauseMs(2_000, waitedMs))).toEqual([
      2_000, 2_000, 10_000, 60_000,
    ]);
    expect(growingPauseMs(600_000, 3_600_000)).toBe(600_000);
  });

  it("begins short where nobody names a time, and doubles up to five seconds", () => {
    let waitedMs = 0;
    const pauses = Array.from({ length: 8 }, () => {
      const pauseMs = growingPauseMs(0, waitedMs);
      waitedMs += pauseMs;
      return pauseMs;
    });
    expect(pauses).toEqual([250, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    expect([160_000, 3_600_000].map((waitedMs) => growingPauseMs(0, waitedMs))).toEqual([10_000, 60_000]);
  });
});
