import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { putPolicy } from "../../replication/items/policy-records.ts";
import { listJobs } from "../../replication/jobs/job-record.ts";
import { changeManaged, readManaged } from "../../replication/jobs/managed-item.ts";
import { FLOW_SOURCE_MAX_MS, LATEST_WAIT_MS } from "../../replication/limits.ts";
import { HEARTBEAT_RECORD } from "../../replication/names.ts";
import { situationNow } from "../../replication/operations/situation.ts";
import { addMapping, listMappings } from "../../replication/planning/mapping-records.ts";
import { readPoint } from "../../replication/points/manifest.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { readItem } from "../../replication/records/item-record.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { textOf } from "../../replication/resources/json.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import { restoreIdOf } from "../../replication/restore/record.ts";
import { deleteRestore } from "../../replication/restore/remove.ts";
import { SOURCE_GROUP } from "../planning/samples.ts";
import { network } from "../resources/samples.ts";
import { drive } from "./driver.ts";
import {
  type FlowWorld,
  SOURCE_VM,
  TARGET_VM,
  emptyHistory,
  enable,
  failover,
  flowWorld,
  plainOperation,
  protectedWorld,
  settingsOf,
} from "./world.ts";

const TARGET_GROUP = "/subscriptions/s1/resourceGroups/shop-asr";

const stateOf = async (world: FlowWorld, itemId = "web-1"): Promise<string> =>
  (await situationNow(world.context, await readManaged(world.stores, itemId))).state;

describe("enabling protection", () => {
  it("plans, makes what items share, installs the service, and ends when its writes begin to come", async () => {
    const world = flowWorld();
    const job = await world.operate(enable());
    expect(job.errors).toEqual([]);
    expect(job.state).toBe("Succeeded");
    expect(await stateOf(world)).toBe("Protected");
    const { entries } = await readLedger(world.stores, "web-1");
    expect(entries.map(({ kind, state }) => [kind, state])).toEqual([
      ["resource-group", "created"],
      ["virtual-network", "created"],
      ["cache-data", "created"],
      ["mobility-extension", "created"],
    ]);
  });

  it("goes to the network that its own is mapped to, and maps a network that is not, there and back, until it goes", async () => {
    const world = flowWorld();
    const mapped = `${TARGET_GROUP}/providers/Microsoft.Network/virtualNetworks/hub-ne`;
    world.resourceManager.seed(TARGET_GROUP, { location: "northeurope" });
    world.resourceManager.seed(mapped, { ...network, id: mapped, name: "hub-ne", location: "northeurope" });
    const given = {
      sourceNetworkId: textOf(network, "id") ?? "",
      sourceRegion: "westeurope",
      targetNetworkId: mapped,
      targetRegion: "northeurope",
    };
    await addMapping(world.context.control, given);
    expect((await world.operate(enable())).errors).toEqual([]);
    expect((await readManaged(world.stores, "web-1")).plan?.network).toMatchObject({
      id: mapped,
      why: "mapping",
      action: "reuse",
    });
    await world.operate(plainOperation("DisableProtection"));
    expect(await listMappings(world.context.control)).toHaveLength(2);

    const other = flowWorld();
    await other.operate(enable());
    const made = (await readManaged(other.stores, "web-1")).plan?.network.id ?? "";
    expect((await listMappings(other.context.control)).map(({ targetNetworkId }) => targetNetworkId)).toEqual([
      made,
      given.sourceNetworkId,
    ]);
    await other.operate(plainOperation("DisableProtection"));
    expect(await listMappings(other.context.control)).toEqual([]);
    expect((await other.operate(enable())).errors).toEqual([]);
  });

  it("follows a stored policy, also one that is changed later; one that is not there is refused before anything begins", async () => {
    const world = flowWorld();
    const asked = { ...enable(), policyName: "gold" } as ReturnType<typeof enable>;
    await expect(world.ask(asked)).rejects.toMatchObject({ code: "policy-unknown" });
    expect(world.recordNames("web-1")).toEqual([]);
    await putPolicy(world.context, "gold", { crashConsistentFrequencyInMinutes: 10 });
    expect((await world.operate(asked)).errors).toEqual([]);
    const policyOf = async () => (await readItem(world.stores, "web-1")).item;
    expect(await policyOf()).toMatchObject({ policyName: "gold", policy: { pointIntervalMs: 600_000 } });
    await putPolicy(world.context, "gold", {
      crashConsistentFrequencyInMinutes: 20,
      recoveryPointThresholdInMinutes: 30,
    });
    expect(await policyOf()).toMatchObject({ policy: { pointIntervalMs: 1_200_000, rpoThresholdMs: 1_800_000 } });
  });

  it("a VM that cannot be protected fails the job with all reasons, and the item can be enabled again or disabled", async () => {
    const world = flowWorld();
    const job = await world.operate({
      ...enable(),
      operation: "EnableProtection",
      sourceVmId: `${SOURCE_VM}-gone`,
    } as ReturnType<typeof enable>);
    expect(job.state).toBe("Failed");
    expect(job.errors[0]).toMatchObject({ taskName: "CheckPrerequisites", code: "invalid-request" });
    expect(await stateOf(world)).toBe("EnableFailed");
    expect((await world.operate(enable())).state).toBe("Succeeded");
  });

  it("rule 8: no step and no result of the history holds a token", async () => {
    const world = flowWorld();
    const { run } = await world.ask(enable());
    const history = emptyHistory();
    await world.finish(run, { history });
    const install = [...world.resourceManager.resources.values()].find(({ id }) =>
      String(id).includes("leeward-mobility"),
    );
    const script = textOf(install, "properties", "protectedSettings", "script") ?? "";
    const { registrationToken } = settingsOf(script) as { registrationToken: string };
    expect(registrationToken.length).toBeGreaterThan(30);
    expect(JSON.stringify(history)).not.toContain(registrationToken);
    expect(JSON.stringify(history)).not.toContain(script);
  });
});

describe("an unplanned failover and its commit", () => {
  it("shuts the source down, makes the machine of the point, and waits for the commit", async () => {
    const world = await protectedWorld();
    const job = await world.operate(failover());
    expect(job.errors).toEqual([]);
    expect(job.state).toBe("Succeeded");
    expect(await stateOf(world)).toBe("FailoverCommitPending");
    expect(world.resourceManager.resources.has(TARGET_VM.toLowerCase())).toBe(true);
    expect(JSON.stringify(await world.resourceManager.read(`${SOURCE_VM}/instanceView`))).toContain(
      "PowerState/stopped",
    );
  });

  it("shows exactly one task as running between its first and its last", async () => {
    const whole = await protectedWorld();
    const full = emptyHistory();
    await whole.finish((await whole.ask(failover())).run, { history: full });
    const turns = full.steps.flatMap((step, at) => (step.includes('"name":"turnTasks"') ? [at + 1] : []));
    expect(turns.length).toBeGreaterThan(5);
    for (let dieAfter = turns[0] ?? 0; dieAfter < (turns.at(-1) ?? 0); dieAfter += 1) {
      const world = await protectedWorld();
      const { run } = await world.ask(failover());
      await drive(world.context, run, { onWait: world.pass, dieAfter });
      const { tasks } = (await listJobs(world.stores, "web-1")).jobs.find(({ jobId }) => jobId === run.jobId) ?? {
        tasks: [],
      };
      expect([dieAfter, tasks.filter(({ state }) => state === "InProgress").length]).toEqual([dieAfter, 1]);
    }
  });

  it("does not look at other items, however many there are", async () => {
    const world = await protectedWorld();
    await world.operate(enable("web-2"));
    const { run } = await world.ask(failover());
    const { stores } = world.context;
    const asked = new Set<string>();
    const records: typeof stores.records = (itemId) => {
      asked.add(itemId);
      return stores.records(itemId);
    };
    const management: typeof stores.management = (itemId) => {
      asked.add(itemId);
      return stores.management(itemId);
    };
    expect(
      await drive({ ...world.context, stores: { ...stores, management, records } }, run, { onWait: world.pass }),
    ).toEqual({
      state: "Succeeded",
    });
    expect([...asked]).toEqual(["web-1"]);
  });

  it("goes on when the source cannot be shut down, and says so", async () => {
    const world = await protectedWorld();
    world.resourceManager.fail({
      on: "begin",
      change: "act",
      times: 99,
      with: { kind: "failed", code: "azure-not-authorized" },
    });
    const job = await world.operate(failover());
    expect(job.state).toBe("Succeeded");
    expect(job.errors).toMatchObject([{ taskName: "ShutDownSource", code: "azure-not-authorized" }]);
  });

  it("rule 7: needs nothing of a source region that is gone, and does not wait long for it; the commit does not either", async () => {
    let gone = false;
    const world = await protectedWorld({
      around: async (call, run) => {
        if (gone && call.port === "cache") throw new LeewardError("store-unavailable", "The source region is gone.");
        return run();
      },
    });
    gone = true;
    for (const on of ["begin", "look", "read", "list"] as const) {
      world.resourceManager.fail({
        on,
        id: `${SOURCE_GROUP}/`,
        times: Number.POSITIVE_INFINITY,
        with: { kind: "unavailable" },
      });
    }
    const beganMs = world.context.clock.now();
    const job = await world.operate(failover());
    expect(job.errors).toMatchObject([{ taskName: "ShutDownSource", code: "azure-unavailable" }]);
    expect([job.state, await stateOf(world)]).toEqual(["Succeeded", "FailoverCommitPending"]);
    expect(world.context.clock.now() - beganMs).toBeLessThan(2 * 60_000);
    const commit = await world.operate(plainOperation("Commit"));
    expect([commit.errors, await stateOf(world)]).toEqual([[], "FailoverCommitted"]);
  });

  it("a source that does not go down is not waited for longer than the shut-down may take", async () => {
    const world = await protectedWorld();
    world.resourceManager.fail({ on: "begin", id: SOURCE_VM, times: Number.POSITIVE_INFINITY, with: { kind: "busy" } });
    const beganMs = world.context.clock.now();
    const job = await world.operate(failover());
    expect(job).toMatchObject({
      state: "Succeeded",
      errors: [{ taskName: "ShutDownSource", code: "azure-unavailable" }],
    });
    expect(world.context.clock.now() - beganMs).toBeLessThan(FLOW_SOURCE_MAX_MS + 60_000);
  });

  it("to the latest state has a point taken at once when there is none yet, instead of waiting for the policy's next", async () => {
    const world = await protectedWorld();
    const records = world.stores.records("web-1");
    const stored = await readProgress(records);
    if (stored === undefined) throw new Error("the item replicates");
    const applied = { ...stored.progress.applied, epoch: stored.progress.applied.epoch + 1 };
    await replaceProgress(records, stored, { ...stored.progress, applied, intent: applied });
    const beganMs = world.context.clock.now();
    const job = await world.operate({ ...failover(), point: { kind: "Latest" } } as ReturnType<typeof failover>);
    expect(job.errors).toEqual([]);
    const point = await readPoint(records, job.pointId ?? "");
    expect(point).toMatchObject({ kind: "point", position: applied });
    expect(point?.kind === "point" && point.targetTimeMs - beganMs).toBeLessThan(60_000);
  });

  it("to the latest state does not wait longer because the clock is set back meanwhile", async () => {
    const world = await protectedWorld();
    const { applied, stream } = (await readProgress(world.stores.records("web-1")))?.progress ?? {
      applied: undefined,
      stream: 0,
    };
    const heartbeat = { version: 1, uploaded: { stream, epoch: (applied?.epoch ?? 0) + 5, checksum: "5".repeat(64) } };
    await world.stores
      .records("web-1")
      .put(HEARTBEAT_RECORD, encodeRecord({ ...heartbeat, receivedMs: 0, sentMs: 0, bootId: "boot" }));
    let [waitedMs, isSetBack] = [0, false];
    const onWait = async (delayMs: number): Promise<void> => {
      waitedMs += delayMs;
      await world.pass(isSetBack || waitedMs < 60_000 ? delayMs : delayMs - 3_600_000);
      isSetBack = waitedMs >= 60_000;
    };
    const asked = { ...failover(), point: { kind: "Latest" }, shutDownSource: false } as ReturnType<typeof failover>;
    expect((await world.operate(asked, { onWait })).errors).toEqual([]);
    expect(isSetBack).toBe(true);
    expect(waitedMs).toBeLessThan(2 * LATEST_WAIT_MS);
  });

  it("the commit closes the stream and removes the recovery points", async () => {
    const world = await protectedWorld();
    await world.operate(failover());
    const job = await world.operate(plainOperation("Commit"));
    expect(job.errors).toEqual([]);
    expect(await stateOf(world)).toBe("FailoverCommitted");
    expect(world.recordNames("web-1").filter((name) => name.startsWith("points/"))).toEqual([]);
  });

  it("a failover that failed half-way can be done again", async () => {
    const world = await protectedWorld();
    world.resourceManager.fail({
      on: "begin",
      change: "put",
      id: "virtualMachines",
      times: 1,
      with: { kind: "failed", code: "azure-quota-exceeded" },
    });
    const failed = await world.operate(failover());
    expect(failed.errors).toMatchObject([{ taskName: "CreateMachine", code: "azure-quota-exceeded" }]);
    expect(await stateOf(world)).toBe("FailoverFailed");
    const again = await world.operate(failover());
    expect(again.errors).toEqual([]);
    expect(await stateOf(world)).toBe("FailoverCommitPending");
  });
});

describe("the blobs that a failover restores", () => {
  const blobsOf = (world: FlowWorld): readonly string[] =>
    Object.keys(world.dump()).filter((name) => name.startsWith("restored "));

  /** A failover that fails when its machine is made. */
  async function failedWorld(): Promise<FlowWorld> {
    const world = await protectedWorld();
    const quota = { kind: "failed", code: "azure-quota-exceeded" } as const;
    world.resourceManager.fail({ on: "begin", change: "put", id: "virtualMachines", times: 1, with: quota });
    expect((await world.operate(failover())).state).toBe("Failed");
    expect(blobsOf(world).length).toBeGreaterThan(0);
    return world;
  }

  it("go when the machine runs, and leave no entry in the ledger", async () => {
    const world = await protectedWorld();
    await world.operate(failover());
    expect(blobsOf(world)).toEqual([]);
    expect((await readLedger(world.stores, "web-1")).entries.filter(({ kind }) => kind === "restored-blobs")).toEqual(
      [],
    );
  });

  it("of one that failed go with the next attempt, not with the operator's machine", async () => {
    const world = await failedWorld();
    const before = blobsOf(world);
    const { run } = await world.ask(failover());
    await world.finish(run);
    expect(blobsOf(world).filter((name) => before.includes(name))).toEqual([]);
    await world.operate(plainOperation("Commit"));
    expect(blobsOf(world)).toEqual([]);
  });

  it("of one that failed go with the commit when the next attempt could not remove them", async () => {
    const world = await failedWorld();
    await changeManaged(world.stores, "web-1", (managed) => ({
      ...managed,
      situation: { ...managed.situation, state: "FailoverCommitPending", activeLocation: "Recovery" },
    }));
    expect((await world.operate(plainOperation("Commit"))).errors).toEqual([]);
    expect(blobsOf(world)).toEqual([]);
    expect((await readLedger(world.stores, "web-1")).entries.filter(({ kind }) => kind === "restored-blobs")).toEqual(
      [],
    );
  });

  it("of one that failed go with disabling", async () => {
    const world = await failedWorld();
    expect((await world.operate(plainOperation("DisableProtection"))).errors).toEqual([]);
    expect(blobsOf(world)).toEqual([]);
  });

  it("are not deleted by an operator while the failover makes its machine of them", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(failover());
    const history = emptyHistory();
    await drive(world.context, run, { history, onWait: world.pass, dieAfter: 20 });
    const restoreId = restoreIdOf("web-1", run.jobId);
    expect(blobsOf(world).some((name) => name.includes(restoreId))).toBe(true);
    await expect(deleteRestore(world.context, "web-1", restoreId)).rejects.toMatchObject({ code: "in-use" });
    expect((await world.finish(run, { history })).state).toBe("Succeeded");
  });
});

describe("disabling protection", () => {
  it("removes everything that was made but for the group, and the ledger is empty", async () => {
    const world = await protectedWorld();
    const before = new Set(flowWorld().resourceManager.resources.keys());
    const job = await world.operate(plainOperation("DisableProtection"));
    expect(job.errors).toEqual([]);
    expect(await stateOf(world)).toBe("Unprotected");
    expect((await readManaged(world.stores, "web-1")).running).toBeUndefined();
    expect((await readLedger(world.stores, "web-1")).entries).toEqual([]);
    expect([...world.resourceManager.resources.keys()].filter((id) => !before.has(id))).toEqual([
      TARGET_GROUP.toLowerCase(),
    ]);
    const kept = world.recordNames("web-1").filter((name) => !name.startsWith("jobs/"));
    expect(kept.toSorted()).toEqual(["ledger.json", "managed.json", "streams.json"]);
  });

  it("an item that was disabled can be enabled again, and its jobs are remembered", async () => {
    const world = await protectedWorld();
    await world.operate(plainOperation("DisableProtection"));
    expect((await world.operate(enable())).errors).toEqual([]);
    expect(await stateOf(world)).toBe("Protected");
    expect((await listJobs(world.stores, "web-1")).jobs).toHaveLength(3);
  });

  it("leaves the machine that users work with after a failover", async () => {
    const world = await protectedWorld();
    await world.operate(failover());
    await world.operate(plainOperation("Commit"));
    expect((await world.operate(plainOperation("DisableProtection"))).errors).toEqual([]);
    expect(world.resourceManager.resources.has(TARGET_VM.toLowerCase())).toBe(true);
    expect((await readLedger(world.stores, "web-1")).entries).toEqual([]);
  });

  it("takes over from an enabling that hangs: that one stops at its next step, and is cancelled", async () => {
    const world = flowWorld();
    const { run } = await world.ask(enable());
    const history = emptyHistory();
    await drive(world.context, run, { history, onWait: world.pass, dieAfter: 8 });
    const { run: disabling } = await world.ask(plainOperation("DisableProtection"));
    const enabling = await world.finish(run, { history });
    expect(enabling.state).toBe("Cancelled");
    expect((await world.finish(disabling)).state).toBe("Succeeded");
    expect((await readLedger(world.stores, "web-1")).entries).toEqual([]);
  });
});
