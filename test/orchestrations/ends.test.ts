import { describe, expect, it } from "vitest";
import { applySlice } from "../../replication/apply/run.ts";
import { LeewardError } from "../../replication/errors.ts";
import { newRegistrationToken } from "../../replication/items/protect.ts";
import { type JobRecord, stateDescription } from "../../replication/jobs/job.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import {
  AZURE_REQUEST_MS,
  FLOW_PAUSE_MS,
  LEFT_RETRY_MS,
  LEFT_TRY_MAX_MS,
  POINT_SETTLE_MS,
  SLICE_MS,
} from "../../replication/limits.ts";
import { retryLeftover } from "../../replication/operations/leftovers.ts";
import { findItem, readItem } from "../../replication/records/item-record.ts";
import { readProgress } from "../../replication/records/progress.ts";
import { changeLedger, readLedger } from "../../replication/resources/ledger-record.ts";
import { intend } from "../../replication/resources/ledger.ts";
import { recordHeartbeat } from "../../replication/service/heartbeat.ts";
import { registerService } from "../../replication/service/register.ts";
import type { PortCall } from "../memory/wrapped-stores.ts";
import { SOURCE_GROUP } from "../planning/samples.ts";
import {
  type FlowWorld,
  SOURCE_VM,
  addPoint,
  emptyHistory,
  enable,
  failover,
  plainOperation,
  protectedWorld,
} from "./world.ts";

const NO_PAUSE = { pause: async () => undefined };
const LASTING = ["ledger.json", "managed.json", "streams.json"];
const EXTENSION = `${SOURCE_VM}/extensions/leeward-mobility`;
const disable = (world: FlowWorld): Promise<JobRecord> => world.operate(plainOperation("DisableProtection"));
const stateOf = async (world: FlowWorld): Promise<string> => (await readManaged(world.stores, "web-1")).situation.state;
const ownNames = (world: FlowWorld): readonly string[] =>
  world.recordNames("web-1").filter((name) => !name.startsWith("jobs/"));
const disksOf = (world: FlowWorld): readonly string[] => Object.keys(world.memory.dump());
const pointsOf = (world: FlowWorld): readonly string[] =>
  world.recordNames("web-1").filter((name) => name.startsWith("points/"));

/**
 * A source region that comes and goes: storage and Resource Manager. `hangs`: each request takes its whole time to
 * fail.
 */
interface Region {
  readonly world: FlowWorld;
  isGone: boolean;
  hangs: boolean;
}

async function regionWorld(): Promise<Region> {
  const around = async <Result>(call: PortCall, run: () => Promise<Result>): Promise<Result> => {
    if (!region.isGone || call.port !== "cache") return run();
    if (region.hangs) await region.world.pass(20_000);
    throw new LeewardError(call.kind === "write" ? "outcome-unknown" : "store-unavailable", "The region is gone.");
  };
  // Set before anything can ask it.
  const region: Region = { world: undefined as unknown as FlowWorld, isGone: false, hangs: false };
  const world = await protectedWorld({ around });
  Object.assign(region, { world });
  const real = { ...world.resourceManager };
  const gone = async (id: string): Promise<void> => {
    if (!region.isGone || !id.startsWith(`${SOURCE_GROUP}/`)) return;
    if (region.hangs) await world.pass(AZURE_REQUEST_MS);
    throw new LeewardError("azure-unavailable", "The region is gone.");
  };
  world.resourceManager.read = async (id) => gone(id).then(() => real.read(id));
  world.resourceManager.begin = async (change) => gone(change.id).then(() => real.begin(change));
  return region;
}

describe("disabling while the source region is gone", () => {
  it.each([false, true])(
    "removes the target's part, names what is left, and does not wait long (it hangs: %s)",
    async (hangs) => {
      const region = await regionWorld();
      const { world } = region;
      Object.assign(region, { isGone: true, hangs });
      const beganMs = world.context.clock.now();
      const job = await disable(world);
      expect([job.state, job.errors, stateDescription(job)]).toEqual(["Succeeded", [], "CompletedWithInformation"]);
      expect(job.leftovers?.map(({ id }) => id)).toEqual(expect.arrayContaining([EXTENSION, "cache/web-1"]));
      expect([disksOf(world), ownNames(world)]).toEqual([[], LASTING]);
      expect(await stateOf(world)).toBe("Unprotected");
      expect(world.context.clock.now() - beganMs).toBeLessThan(20 * 60_000);
      const { entries } = await readLedger(world.stores, "web-1");
      expect(entries.map(({ id, state }) => [id, state])).toEqual([
        ["cache/web-1", "left"],
        [EXTENSION, "left"],
      ]);
    },
  );

  it("asks nothing of the source before all is gone in the target, and forgets the item last", async () => {
    const region = await regionWorld();
    const { world } = region;
    Object.assign(region, { isGone: true, hangs: true });
    const { run } = await world.ask(plainOperation("DisableProtection"));
    const history = emptyHistory();
    await world.finish(run, { history });
    const lastInTarget = history.steps.findLastIndex((step) => step.includes('"name":"removeTargetData"'));
    const firstAtSource = history.steps.findIndex((step) => step.includes('"side":"source"'));
    const forgotten = history.steps.findIndex((step) => step.includes('"name":"forgetItem"'));
    const lastLeft = history.steps.findLastIndex((step) => step.includes('"name":"leaveAtSource"'));
    expect(lastInTarget).toBeGreaterThan(0);
    expect(firstAtSource).toBeGreaterThan(lastInTarget);
    expect(forgotten).toBeGreaterThan(lastLeft);
  });

  it("is finished by the sweep when the region is back, and not tried more often than each hour", async () => {
    const region = await regionWorld();
    const { world } = region;
    await world.stores.cache("web-1", 1).put("0000000001/000000000009", new Uint8Array(1));
    region.isGone = true;
    await disable(world);
    const tried = () => retryLeftover(world.context, "web-1");
    expect(await tried()).toBeUndefined();
    await world.pass(LEFT_RETRY_MS);
    expect([await tried(), await tried(), await tried()]).toMatchObject([
      { state: "left" },
      { state: "left" },
      undefined,
    ]);
    region.isGone = false;
    await world.pass(LEFT_RETRY_MS);
    expect(await tried()).toMatchObject({ id: "cache/web-1", state: "removed" });
    expect(world.cacheNames("web-1")).toEqual([]);
    expect(await tried()).toMatchObject({ id: EXTENSION, state: "under-way" });
    await world.pass(LEFT_RETRY_MS);
    expect(await tried()).toMatchObject({ id: EXTENSION, state: "removed" });
    expect(world.resourceManager.resources.has(EXTENSION.toLowerCase())).toBe(false);
    expect((await readLedger(world.stores, "web-1")).entries).toEqual([]);
  });

  it("does not keep the item from being protected again, and then the next disabling removes all", async () => {
    const region = await regionWorld();
    const { world } = region;
    region.isGone = true;
    await disable(world);
    region.isGone = false;
    expect(await world.operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
    await world.pass(2 * LEFT_RETRY_MS);
    expect(await retryLeftover(world.context, "web-1")).toBeUndefined();
    expect(world.resourceManager.resources.has(EXTENSION.toLowerCase())).toBe(true);
    expect((await disable(world)).errors).toEqual([]);
    expect(world.resourceManager.resources.has(EXTENSION.toLowerCase())).toBe(false);
    expect((await readLedger(world.stores, "web-1")).entries).toEqual([]);
  });

  it("that Azure is removing since the sweep asked for it does not keep the item from being protected again", async () => {
    const region = await regionWorld();
    const { world } = region;
    region.isGone = true;
    await disable(world);
    region.isGone = false;
    await world.pass(LEFT_RETRY_MS);
    expect(await retryLeftover(world.context, "web-1")).toMatchObject({ id: "cache/web-1", state: "removed" });
    expect(await retryLeftover(world.context, "web-1")).toMatchObject({ id: EXTENSION, state: "under-way" });
    expect(await world.operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
    expect(world.resourceManager.resources.has(EXTENSION.toLowerCase())).toBe(true);
  });

  it("that a sweep was removing when it died does not keep the item from being protected again", async () => {
    const region = await regionWorld();
    const { world } = region;
    region.isGone = true;
    await disable(world);
    region.isGone = false;
    await world.pass(LEFT_RETRY_MS);
    const removeCacheData = async (): Promise<never> => Promise.reject(new Error("The process ended."));
    const stores = { ...world.context.stores, removeCacheData };
    await expect(retryLeftover({ ...world.context, stores }, "web-1")).rejects.toThrow("ended");
    expect(await world.operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
  });

  it("is left alone when it has come into use again since the sweep looked", async () => {
    const region = await regionWorld();
    const { world } = region;
    region.isGone = true;
    await disable(world);
    region.isGone = false;
    await world.pass(LEFT_RETRY_MS);
    const { stores } = world.context;
    const used = [
      { id: "cache/web-1", kind: "cache-data", role: "replication" },
      { id: EXTENSION, kind: "mobility-extension", role: "replication" },
    ] as const;
    const management: typeof stores.management = (itemId) => ({
      ...stores.management(itemId),
      read: async (name, maxBytes) => {
        if (name === "streams.json")
          await changeLedger(stores, itemId, (ledger) => intend(ledger, used, "next", world.context.clock.now()));
        return stores.management(itemId).read(name, maxBytes);
      },
    });
    const before = world.resourceManager.requests.length;
    expect(await retryLeftover({ ...world.context, stores: { ...stores, management } }, "web-1")).toBeUndefined();
    expect(world.resourceManager.requests.slice(before)).toEqual([]);
    expect((await readLedger(stores, "web-1")).entries.map(({ state }) => state)).toEqual(["intended", "intended"]);
  });

  it("is not tried while a job of the item runs", async () => {
    const region = await regionWorld();
    const { world } = region;
    region.isGone = true;
    await disable(world);
    region.isGone = false;
    await world.pass(LEFT_RETRY_MS);
    await world.ask(enable());
    expect(await retryLeftover(world.context, "web-1")).toBeUndefined();
    expect(world.resourceManager.resources.has(EXTENSION.toLowerCase())).toBe(true);
  });

  it("a sweep that sleeps in the middle of it for longer than it is waited for leaves the next life its deltas", async () => {
    const region = await regionWorld();
    const { world } = region;
    region.isGone = true;
    await disable(world);
    region.isGone = false;
    await world.pass(LEFT_RETRY_MS);
    const { stores } = world.context;
    const removeCacheData: typeof stores.removeCacheData = async (itemId, lastStream) => {
      await world.pass(LEFT_TRY_MAX_MS + 1);
      expect(await world.operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
      await stores.removeCacheData(itemId, lastStream);
    };
    await retryLeftover({ ...world.context, stores: { ...stores, removeCacheData } }, "web-1");
    const { item } = await readItem(stores, "web-1");
    expect(await stores.listStreams("web-1", "cache")).toEqual([item.stream]);
  });

  it("a sweep that is in the middle of it does not remove what a new protection has just made", async () => {
    const region = await regionWorld();
    const { world } = region;
    region.isGone = true;
    await disable(world);
    region.isGone = false;
    await world.pass(LEFT_RETRY_MS);
    const { stores } = world.context;
    const [met, swept] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const onWait = async (ms: number): Promise<void> => {
      await world.pass(ms);
      if (ms !== FLOW_PAUSE_MS) return;
      // The enabling has met the sweep's mark.
      met.resolve();
      await swept.promise;
    };
    let enabling: Promise<JobRecord> | undefined;
    const removeCacheData: typeof stores.removeCacheData = async (itemId, lastStream) => {
      enabling = world.operate(enable(), { onWait });
      await met.promise;
      await stores.removeCacheData(itemId, lastStream);
    };
    await retryLeftover({ ...world.context, stores: { ...stores, removeCacheData } }, "web-1");
    swept.resolve();
    expect(await enabling).toMatchObject({ state: "Succeeded", errors: [] });
    const { entries } = await readLedger(world.stores, "web-1");
    expect(entries.find(({ id }) => id === "cache/web-1")).toMatchObject({ state: "created" });
  });
});

describe("disabling that is broken off", () => {
  it("leaves the item's own record to the last, so that it can be done again", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(plainOperation("DisableProtection"));
    const names: (readonly string[])[] = [];
    const job = await world.finish(run, {
      strike: (name) => {
        if (name !== "forgetItem") return undefined;
        names.push(ownNames(world));
        return "before";
      },
    });
    expect([job.state, await stateOf(world)]).toEqual(["Failed", "DisableFailed"]);
    expect(names[0]).toEqual(["item.json", "ledger.json", "managed.json", "progress.json", "streams.json"]);
    expect(disksOf(world)).toEqual([]);
    expect((await disable(world)).errors).toEqual([]);
    expect(ownNames(world)).toEqual(LASTING);
  });

  it("has ended the tokens of the source by then: nobody speaks for it any more", async () => {
    const world = await protectedWorld();
    const item = (await findItem(world.stores, "web-1"))?.item;
    const progress = (await readProgress(world.stores.records("web-1")))?.progress;
    if (item === undefined || progress === undefined) throw new Error("it replicates");
    const { applied } = progress;
    const speak = () =>
      recordHeartbeat(
        {
          ...world.context,
          access: { grantCreate: async () => ({ containerUrl: "https://cache.invalid", expiresMs: 0 }) },
        },
        "web-1",
        "ab".repeat(32),
        { machineId: "machine", bootId: "boot", sessionId: "session", sentMs: 0, uploaded: applied, pendingBytes: 0 },
      );
    await expect(speak()).resolves.toBeDefined();
    const registrationToken = await newRegistrationToken(world.context, "web-1");
    const { run } = await world.ask(plainOperation("DisableProtection"));
    await world.finish(run, { strike: (name) => (name === "removeTargetData" ? "before" : undefined) });
    expect((await findItem(world.stores, "web-1"))?.item).toMatchObject({ itemId: "web-1" });
    await expect(speak()).rejects.toMatchObject({ code: "not-authorized" });
    const late = {
      registrationToken,
      itemToken: "cd".repeat(32),
      machineId: "machine",
      bootId: "boot",
      disks: item.disks,
    };
    await expect(registerService(world.context, "web-1", late)).rejects.toMatchObject({ code: "not-authorized" });
  });

  it("a run that began under version 2 ends as it began", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(plainOperation("DisableProtection"));
    let removals = 0;
    const job = await world.finish(
      { ...run, version: 2 },
      { strike: (name) => void (removals += name === "removeData" ? 1 : 0) },
    );
    expect([job.state, job.errors, removals]).toEqual(["Succeeded", [], 2]);
    expect([disksOf(world), ownNames(world)]).toEqual([[], LASTING]);
  });
});

describe("committing a failover", () => {
  it("closes the stream: what the source still sends is not applied", async () => {
    const world = await protectedWorld();
    await world.operate(failover());
    const before = await findItem(world.stores, "web-1");
    await world.operate(plainOperation("Commit"));
    const { progress } = (await readProgress(world.stores.records("web-1"))) ?? {};
    const closed = await findItem(world.stores, "web-1");
    expect(before?.item.stream).toBe(progress?.stream);
    expect(closed?.item.stream).toBeGreaterThan(progress?.stream ?? Infinity);
    const { stores, clock } = world.context;
    const log: string[] = [];
    await applySlice(
      {
        stores,
        clock,
        timer: NO_PAUSE,
        holder: "w",
        deadlineMs: clock.now() + SLICE_MS,
        log: ({ kind }) => void log.push(kind),
      },
      "web-1",
    );
    expect(log).toEqual([]);
  });

  it("removes no point before every request that could bring it back has settled", async () => {
    const world = await protectedWorld();
    await world.operate(failover());
    await addPoint(world.context, "web-1");
    const youngMs = world.context.clock.now();
    const { run } = await world.ask(plainOperation("Commit"));
    let goneMs: number | undefined;
    const onWait = async (ms: number): Promise<void> => {
      if (pointsOf(world).length === 0) goneMs ??= world.context.clock.now();
      await world.pass(ms);
    };
    expect((await world.finish(run, { onWait })).errors).toEqual([]);
    expect(pointsOf(world)).toEqual([]);
    expect((goneMs ?? world.context.clock.now()) - youngMs).toBeGreaterThanOrEqual(POINT_SETTLE_MS);
  });
});
