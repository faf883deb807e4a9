import { describe, expect, it } from "vitest";
import { FLOW_VERSION } from "../../replication/operations/flow-run.ts";
import { applySlice } from "../../replication/apply/run.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { LeewardError } from "../../replication/errors.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import { findItem, readItem } from "../../replication/records/item-record.ts";
import type { Progress } from "../../replication/records/item.ts";
import { recordHeartbeat } from "../../replication/service/heartbeat.ts";
import { ITEM_RECORD, journalName } from "../../replication/names.ts";
import { newRegistrationToken } from "../../replication/items/protect.ts";
import { registerService } from "../../replication/service/register.ts";
import { type JobRecord, stateDescription } from "../../replication/jobs/job.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import {
  AZURE_REQUEST_MS,
  CLAIM_MS,
  FLOW_PAUSE_MS,
  LEFT_RETRY_MS,
  LEFT_TRY_MAX_MS,
  POINT_SETTLE_MS,
  SLICE_MS,
  STORE_BLOB_WRITE_MS,
} from "../../replication/limits.ts";
import { endReplication, lookWorkers } from "../../orchestrations/activities/workers.ts";
import { retryLeftover } from "../../replication/operations/leftovers.ts";
import { SOURCE_GROUP } from "../planning/samples.ts";
import type { PortCall } from "../memory/wrapped-stores.ts";
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

/** A worker that holds the claim from now on. */
async function hold(world: FlowWorld): Promise<void> {
  const holder: Partial<Progress> = { holder: "worker", expiresMs: world.context.clock.now() + CLAIM_MS };
  const stored = await readProgress(world.stores.records("web-1"));
  if (stored === undefined) throw new Error("the item replicates");
  await replaceProgress(world.stores.records("web-1"), stored, { ...stored.progress, ...holder });
}

async function letGo(world: FlowWorld): Promise<void> {
  const stored = await readProgress(world.stores.records("web-1"));
  if (stored !== undefined) {
    await replaceProgress(world.stores.records("web-1"), stored, {
      ...stored.progress,
      holder: undefined,
      expiresMs: 0,
    });
  }
}

/** Does something once, when so much time has passed. */
function after(world: FlowWorld, delayMs: number, act: () => Promise<unknown>): (ms: number) => Promise<void> {
  const atMs = world.context.clock.now() + delayMs;
  let isDone = false;
  return async (ms) => {
    await world.pass(ms);
    if (isDone || world.context.clock.now() < atMs) return;
    isDone = true;
    await act();
  };
}

describe("a worker in the middle", () => {
  /** An entry of the journal, and a disk of a stream that was just being opened. */
  const late = async (world: FlowWorld): Promise<void> => {
    await world.stores.records("web-1").put(journalName(1, 7), new Uint8Array(8));
    await world.stores.disks.create({ itemId: "web-1", stream: 1, diskId: "os" }, 512);
  };

  it("that dies: what it wrote to the journal lands later than its claim lasts, and is removed all the same", async () => {
    const world = await protectedWorld();
    await hold(world);
    const { run } = await world.ask(plainOperation("DisableProtection"));
    // Begun just before the claim ran out.
    const onWait = after(world, CLAIM_MS + STORE_BLOB_WRITE_MS - 1_000, () => late(world));
    const job = await world.finish(run, { onWait });
    await onWait(STORE_BLOB_WRITE_MS);
    expect([job.errors, disksOf(world), ownNames(world)]).toEqual([[], [], LASTING]);
  });

  it("that lets go with a request of unknown outcome behind it: what lands between the two removals goes with the second", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(plainOperation("DisableProtection"));
    const onWait = async (ms: number): Promise<void> => {
      if (ms === CLAIM_MS) await late(world);
      await world.pass(ms);
    };
    const job = await world.finish(run, { onWait });
    expect([job.errors, disksOf(world), ownNames(world)]).toEqual([[], [], LASTING]);
  });

  it("that lets go with a request behind it that lands as late as it can: it goes with the second removal", async () => {
    const world = await protectedWorld();
    const { clock } = world.context;
    const { run } = await world.ask(plainOperation("DisableProtection"));
    let landsMs = Number.POSITIVE_INFINITY;
    const strike = (name: string): undefined => {
      if (name === "removeTargetData") landsMs = Math.min(landsMs, clock.now() + CLAIM_MS - 1);
    };
    let hasLanded = false;
    const onWait = async (ms: number): Promise<void> => {
      const endMs = clock.now() + ms;
      if (!hasLanded && endMs >= landsMs) {
        hasLanded = true;
        await world.pass(landsMs - clock.now());
        await late(world);
      }
      await world.pass(endMs - clock.now());
    };
    const job = await world.finish(run, { onWait, strike });
    await onWait(CLAIM_MS);
    expect([job.errors, hasLanded, disksOf(world), ownNames(world)]).toEqual([[], true, [], LASTING]);
  });

  it("the same under version 2", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(plainOperation("DisableProtection"));
    const onWait = async (ms: number): Promise<void> => {
      if (ms === CLAIM_MS) await late(world);
      await world.pass(ms);
    };
    const job = await world.finish({ ...run, version: 2 }, { onWait });
    expect([job.errors, disksOf(world), ownNames(world)]).toEqual([[], [], LASTING]);
  });

  it("does not keep a disabling waiting for ever", async () => {
    const world = await protectedWorld();
    const { run } = await world.ask(plainOperation("DisableProtection"));
    const onWait = async (ms: number): Promise<void> => {
      await world.pass(ms);
      await hold(world);
    };
    await hold(world);
    expect(await world.finish(run, { onWait })).toMatchObject({ state: "Failed", errors: [{ code: "conflict" }] });
    await letGo(world);
    expect((await disable(world)).errors).toEqual([]);
  });

  it("of a committed failover takes a point yet: the commit waits for it and removes it", async () => {
    const world = await protectedWorld();
    await world.operate(failover());
    await world.pass(10 * POINT_SETTLE_MS);
    await hold(world);
    const { run } = await world.ask(plainOperation("Commit"));
    const onWait = after(world, CLAIM_MS / 2, async () => {
      await addPoint(world.context, "web-1");
      await letGo(world);
    });
    expect((await world.finish(run, { onWait })).errors).toEqual([]);
    // Had the commit not waited, the point would come now.
    await onWait(CLAIM_MS);
    expect(pointsOf(world)).toEqual([]);
  });

  it("that had looked at the item before its stream was closed, and claims it after that, lets go again", async () => {
    const world = await protectedWorld();
    await world.operate(failover());
    await world.pass(10 * POINT_SETTLE_MS);
    const { stores, clock } = world.context;
    let committed: Promise<JobRecord> | undefined;
    const stored = await readProgress(stores.records("web-1"));
    if (stored === undefined) throw new Error("the item replicates");
    const applied = { ...stored.progress.applied, epoch: stored.progress.applied.epoch + 1 };
    await replaceProgress(stores.records("web-1"), stored, { ...stored.progress, applied, intent: applied });
    const records: typeof stores.records = (itemId) => {
      const inner = stores.records(itemId);
      return {
        ...inner,
        read: async (name, maxBytes) => {
          const found = await inner.read(name, maxBytes);
          if (name === ITEM_RECORD && committed === undefined) {
            committed = world.operate(plainOperation("Commit"));
            await committed;
          }
          return found;
        },
      };
    };
    const log: string[] = [];
    const outcome = await applySlice(
      {
        stores: { ...stores, records },
        clock,
        timer: NO_PAUSE,
        holder: "late",
        deadlineMs: clock.now() + SLICE_MS,
        log: ({ kind }) => void log.push(kind),
      },
      "web-1",
    );
    expect([outcome.kind, (await committed)?.errors, pointsOf(world)]).toEqual(["idle", [], []]);
    expect((await readProgress(stores.records("web-1")))?.progress.holder).toBeUndefined();
    expect(log).toEqual(["claimed"]);
  });
});

describe("a worker that stays warm", () => {
  it("is woken when the stream is closed, and lets go at once", async () => {
    const world = await protectedWorld();
    const { stores, clock, ids } = world.context;
    let looks = 0;
    const woken = Promise.withResolvers<boolean>();
    const waiting = Promise.withResolvers<void>();
    const queue: typeof world.context.queue = { send: async (message) => woken.resolve(message.kind === "hint") };
    const slice = applySlice(
      {
        stores,
        clock,
        timer: NO_PAUSE,
        holder: "warm",
        deadlineMs: clock.now() + SLICE_MS,
        log: () => undefined,
        awaitHint: async () => {
          looks += 1;
          waiting.resolve();
          if (looks === 1) return woken.promise;
          await world.pass(SLICE_MS);
          return false;
        },
      },
      "web-1",
    );
    await waiting.promise;
    const run = { version: FLOW_VERSION, itemId: "web-1", jobId: ids.next(), flow: "disable-protection" } as const;
    expect(await lookWorkers(world.context, run)).toEqual({ kind: "works" });
    await endReplication({ ...world.context, queue }, run);
    expect([await slice, looks]).toEqual([{ kind: "idle" }, 1]);
    expect(await lookWorkers(world.context, run)).toEqual({ kind: "ended", settleMs: 0 });
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
