import { describe, expect, it } from "vitest";
import { endReplication, lookWorkers } from "../../orchestrations/activities/workers.ts";
import { applySlice } from "../../replication/apply/run.ts";
import type { JobRecord } from "../../replication/jobs/job.ts";
import { CLAIM_MS, POINT_SETTLE_MS, SLICE_MS, STORE_BLOB_WRITE_MS } from "../../replication/limits.ts";
import { ITEM_RECORD, journalName } from "../../replication/names.ts";
import type { Progress } from "../../replication/records/item.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { type FlowWorld, addPoint, failover, plainOperation, protectedWorld } from "./world.ts";

const NO_PAUSE = { pause: async () => undefined };
const LASTING = ["ledger.json", "managed.json", "streams.json"];
const disable = (world: FlowWorld): Promise<JobRecord> => world.operate(plainOperation("DisableProtection"));
const ownNames = (world: FlowWorld): readonly string[] =>
  world.recordNames("web-1").filter((name) => !name.startsWith("jobs/"));
const disksOf = (world: FlowWorld): readonly string[] => Object.keys(world.memory.dump());
const pointsOf = (world: FlowWorld): readonly string[] =>
  world.recordNames("web-1").filter((name) => name.startsWith("points/"));

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
    const { stores, clock } = world.context;
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
    const { run } = await world.ask(plainOperation("DisableProtection"));
    expect(await lookWorkers(world.context, run)).toEqual({ kind: "works" });
    await endReplication({ ...world.context, queue }, run);
    expect([await slice, looks]).toEqual([{ kind: "idle" }, 1]);
    expect(await lookWorkers(world.context, run)).toEqual({ kind: "ended", settleMs: 0 });
  });
});
