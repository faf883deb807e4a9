import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { CLAIM_MS } from "../../replication/limits.ts";
import { PROGRESS_RECORD, deltaName, journalName } from "../../replication/names.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import type { Around, PortCall } from "../memory/wrapped-stores.ts";
import { callNames, openOneItem, plansOf, type OneItem } from "./one-item.ts";
import { ITEM_ID, STREAM, targetDisk } from "./small-world.ts";

const forever = (): Promise<never> => new Promise(() => undefined);
const unknown = (): LeewardError => new LeewardError("outcome-unknown", "timed out");
const isPageWrite = (call: PortCall): boolean => call.method === "writePages" || call.method === "clearPages";

/** The n-th call (from 1) that `which` accepts goes through `instead`; all others as they are. */
function nth(count: number, which: (call: PortCall) => boolean, instead: Around): Around {
  let seen = 0;
  return async (call, run) => {
    if (which(call)) seen += 1;
    return which(call) && seen === count ? instead(call, run) : run();
  };
}

async function sequenceNumbers(world: OneItem): Promise<readonly (number | undefined)[]> {
  const disks = world.item.disks.map((disk) => targetDisk(world.item, disk.id));
  return Promise.all(disks.map(async (disk) => (await world.stores.disks.properties(disk))?.sequenceNumber));
}

describe("the claim", () => {
  it("gives each run a generation of its own, raised on every disk before the first delta is read", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    await world.work();
    expect((await world.progress()).generation).toBe(1);
    expect(await sequenceNumbers(world)).toEqual([1, 1]);
    const names = callNames(world);
    expect(names.lastIndexOf("disks raiseSequenceNumber")).toBeLessThan(names.indexOf("cache read"));
    await world.work();
    expect((await world.progress()).generation).toBe(2);
  });

  it("of another run holds until it runs out, then the item is taken over", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1, 2);
    void world.work({ around: nth(1, isPageWrite, forever) });
    await settled();
    const { expiresMs } = await world.progress();
    expect(expiresMs).toBe(world.clock.nowMs + CLAIM_MS);
    expect(await world.work()).toEqual({ kind: "held", untilMs: expiresMs });
    world.clock.nowMs = expiresMs;
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(2);
  });

  it("rule 3: a disk with the number of a newer worker ends the run before it reads or writes anything", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    const own: string[] = [];
    const around: Around = async (call, run) => {
      own.push(`${call.port} ${call.method}`);
      if (
        own.filter((name) => name === "disks raiseSequenceNumber").length !== 1 ||
        call.method !== "raiseSequenceNumber"
      )
        return run();
      // While this worker sleeps, another one takes the item over, and is at work.
      world.clock.nowMs += CLAIM_MS;
      void world.work({ around: nth(1, isPageWrite, forever) });
      await settled();
      return run();
    };
    expect(await world.work({ around, holder: "sleeper" })).toMatchObject({ kind: "held" });
    expect(own.filter((name) => /^cache|writePages|snapshot/.test(name))).toEqual([]);
    expect((await world.progress()).generation).toBe(2);
  });

  it("of a record that lags behind its disks, put back from a copy, takes the highest number and one more at once", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    await world.stores.disks.raiseSequenceNumber(targetDisk(world.item, "os"), 9);
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(1);
    expect((await world.progress()).generation).toBe(10);
    expect(await sequenceNumbers(world)).toEqual([10, 10]);
    const names = callNames(world);
    expect(names.lastIndexOf("disks raiseSequenceNumber")).toBeLessThan(names.indexOf("cache read"));
  });

  it("rule 3: a newer worker that comes while a record catches up with its disks ends the run before it reads or writes anything", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    await world.stores.disks.raiseSequenceNumber(targetDisk(world.item, "os"), 9);
    const own: string[] = [];
    const around: Around = async (call, run) => {
      own.push(`${call.port} ${call.method}`);
      // Two disks: this is the first one of the second round.
      if (
        own.filter((name) => name === "disks raiseSequenceNumber").length !== 3 ||
        call.method !== "raiseSequenceNumber"
      )
        return run();
      // The clocks of two machines differ: by its own, the claim of this worker still holds.
      world.clock.nowMs += CLAIM_MS;
      void world.work({ around: nth(1, isPageWrite, forever) });
      await settled();
      world.clock.nowMs -= CLAIM_MS;
      return run();
    };
    expect(await world.work({ around, holder: "slow clock" })).toEqual({ kind: "fenced" });
    expect(own.filter((name) => /^cache|writePages|snapshot/.test(name))).toEqual([]);
    expect((await world.progress()).generation).toBe(11);
  });

  it("rule 3: who was taken over writes nothing more, neither pages nor progress nor points", async () => {
    const world = await openOneItem(plansOf(2), 1);
    await world.arrive(1, 2);
    // The stalled worker wakes up at its first page write, when another one has long finished.
    const { promise: woken, resolve: wake } = Promise.withResolvers<undefined>();
    const stalled = world.work({
      around: nth(1, isPageWrite, async (_, run) => {
        await woken;
        return run();
      }),
    });
    await settled();
    world.clock.nowMs += CLAIM_MS;
    await world.work();
    const [progress, points] = [await world.progress(), await world.points()];
    wake(undefined);
    expect(await stalled).toEqual({ kind: "fenced" });
    expect(await world.progress()).toEqual(progress);
    expect(await world.points()).toEqual(points);
    expect(world.diskEpoch()).toBe(2);
  });

  it("rule 3: who was taken over before its point takes none of what the newer worker has written", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1);
    const { promise: woken, resolve: wake } = Promise.withResolvers<undefined>();
    const isLook = ({ port, method }: PortCall): boolean => port === "disks" && method === "properties";
    const stalled = world.work({
      around: nth(1, isLook, async (_, run) => {
        await woken;
        return run();
      }),
    });
    await settled();
    expect(world.diskEpoch()).toBe(1);
    world.clock.nowMs += CLAIM_MS;
    await world.arrive(2);
    await world.work();
    wake(undefined);
    expect(await stalled).toEqual({ kind: "fenced" });
    expect((await world.points()).map((point) => [point.position.epoch, world.pointEpoch(point)])).toEqual([[2, 2]]);
  });

  it("is renewed in the middle of long page writing, so that nobody takes the item for abandoned", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    const slow: Around = async (call, run) => {
      if (isPageWrite(call)) world.clock.nowMs += CLAIM_MS / 2;
      return run();
    };
    expect(await world.work({ around: slow, bounds: { pageWritesInFlight: 1 }, sliceMs: 100 * CLAIM_MS })).toEqual({
      kind: "idle",
    });
    expect(world.diskEpoch()).toBe(1);
    const names = callNames(world);
    const writing = names.slice(names.indexOf("disks writePages"), names.lastIndexOf("disks writePages"));
    expect(writing).toContain("records replace");
    expect((await world.progress()).generation).toBe(1);
  });
});

describe("rule 3: after an unknown outcome", () => {
  it("of a page write, the worker raises a new generation on every disk before it writes again", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    const lost = nth(2, isPageWrite, async () => {
      throw unknown();
    });
    expect(await world.work({ around: lost, bounds: { pageWritesInFlight: 1 } })).toEqual({ kind: "idle" });
    expect(await sequenceNumbers(world)).toEqual([2, 2]);
    expect(world.diskEpoch()).toBe(1);
    const steps = callNames(world).filter((name) => /writePages|raiseSequenceNumber/.test(name));
    expect(steps.map((name) => name.split(" ")[1]).join(" ")).toMatch(
      /^(raiseSequenceNumber ){2}(writePages ){2}(raiseSequenceNumber ){2}(writePages ?)+$/,
    );
  });

  it("its own late write cannot land any more", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1, 2);
    const late: (() => Promise<unknown>)[] = [];
    const lateWrite = nth(1, isPageWrite, async (_, run) => {
      late.push(run);
      throw unknown();
    });
    await world.work({ around: lateWrite });
    expect(world.diskEpoch()).toBe(2);
    await expect(late[0]?.()).rejects.toMatchObject({ code: "fenced" });
    expect(world.diskEpoch()).toBe(2);
  });

  it("all other writes of the worker settle before it claims again", async () => {
    const world = await openOneItem(plansOf(3));
    await world.arrive(1, 2, 3);
    const { promise: answer, resolve: release } = Promise.withResolvers<undefined>();
    let writes = 0;
    const around: Around = async (call, run) => {
      if (!isPageWrite(call)) return run();
      writes += 1;
      if (writes === 1) throw unknown();
      if (writes === 2) await answer;
      return run();
    };
    const working = world.work({ around, bounds: { pageWritesInFlight: 4 } });
    await settled();
    expect((await world.progress()).generation).toBe(1);
    release(undefined);
    expect(await working).toEqual({ kind: "idle" });
    expect((await world.progress()).generation).toBe(2);
    expect(world.diskEpoch()).toBe(3);
  });

  it("of any other step, whether it landed or not, the item comes to the same end", async () => {
    const total = await stepCount();
    for (let step = 1; step <= total; step += 1) {
      for (const landed of [true, false]) {
        const world = await openOneItem(plansOf(3), 1);
        await world.arrive(1, 2, 3);
        const around = nth(
          step,
          () => true,
          async (call, run) => {
            if (call.kind !== "write") return run();
            if (landed) await run();
            throw unknown();
          },
        );
        await world.work({ around });
        await world.work();
        expect(world.diskEpoch()).toBe(3);
        expect((await world.progress()).applied.epoch).toBe(3);
        for (const point of await world.points()) expect(world.pointEpoch(point)).toBe(point.position.epoch);
      }
    }
  });

  it("rule 9: it gives the message back after a few claims", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    const broken: Around = async (call, run) => {
      if (isPageWrite(call)) throw unknown();
      return run();
    };
    await expect(world.work({ around: broken, bounds: { claimsPerRun: 3 } })).rejects.toMatchObject({
      code: "outcome-unknown",
    });
    expect((await world.progress()).generation).toBe(3);
  });
});

describe("rule 4: a crash", () => {
  it("at any await, with other batch bounds afterwards, loses nothing and applies nothing wrongly", async () => {
    const total = await stepCount();
    for (let step = 1; step <= total; step += 1) {
      for (const landed of [true, false]) {
        for (const batchMaxDeltas of [1, 2, 64]) {
          const world = await openOneItem(plansOf(3), 1);
          await world.arrive(1, 2, 3);
          const around = nth(
            step,
            () => true,
            async (_, run) => {
              if (landed) await run();
              return forever();
            },
          );
          void world.work({ around });
          await settled();
          world.clock.nowMs += CLAIM_MS;
          expect(await world.work({ bounds: { batchMaxDeltas } })).toEqual({ kind: "idle" });
          expect(world.diskEpoch()).toBe(3);
          expect((await world.progress()).applied).toEqual(world.epochs[2]?.end);
          for (const point of await world.points()) expect(world.pointEpoch(point)).toBe(point.position.epoch);
        }
      }
    }
  });

  it("between intent and applied: the next worker reaches the intent whatever its bounds, and takes no point before", async () => {
    const world = await openOneItem(plansOf(4), 1);
    await world.arrive(1);
    await world.work();
    const before = (await world.points()).length;
    await world.arrive(2, 3, 4);
    void world.work({ around: nth(4, isPageWrite, forever), bounds: { pageWritesInFlight: 1 } });
    await settled();
    expect((await world.progress()).intent.epoch).toBe(4);
    expect((await world.progress()).applied.epoch).toBe(1);
    world.clock.nowMs += CLAIM_MS;
    await world.work({ bounds: { batchMaxDeltas: 1, batchMaxBytes: 1 } });
    const points = await world.points();
    expect(points.slice(before).map((point) => point.position.epoch)).toEqual([4]);
    expect(points.map((point) => world.pointEpoch(point))).toEqual(points.map((point) => point.position.epoch));
  });

  it("rule 7: with the source region gone, a batch that was begun is finished from the journal, and its point is taken", async () => {
    const world = await openOneItem(plansOf(3), 1);
    await world.arrive(1);
    await world.work();
    await world.arrive(2, 3);
    void world.work({ around: nth(1, isPageWrite, forever) });
    await settled();
    expect((await world.progress()).intent.epoch).toBe(3);
    for (const epoch of [2, 3]) await world.stores.cache(ITEM_ID, STREAM).remove(deltaName(STREAM, epoch));
    world.clock.nowMs += CLAIM_MS;
    const unreachable: Around = async (call, run) => {
      if (call.port === "cache") throw new LeewardError("store-unavailable", "the region is gone");
      return run();
    };
    // The message goes back to the queue, because nobody knows what the cache holds; all that could be done is done.
    await expect(world.work({ around: unreachable })).rejects.toMatchObject({ code: "store-unavailable" });
    expect(world.diskEpoch()).toBe(3);
    expect((await world.points()).map((point) => world.pointEpoch(point))).toEqual([1, 3]);
    expect((await world.progress()).holder).toBeUndefined();
  });

  it("a journal that does not lead to the intent stops the item", async () => {
    const world = await openOneItem(plansOf(1));
    const progress = await world.progress();
    const intent = { ...progress.applied, epoch: 1 };
    const records = world.stores.records(ITEM_ID);
    await records.create(journalName(STREAM, 1), world.epochs[0]?.bytes ?? new Uint8Array());
    await records.put(PROGRESS_RECORD, encodeRecord({ ...progress, intent }));
    expect(await world.work()).toMatchObject({ kind: "stopped", reason: { code: "position-fork" } });
    expect(world.diskEpoch()).toBe(0);
  });
});

/** How many port calls a run over three epochs makes. */
async function stepCount(): Promise<number> {
  const world = await openOneItem(plansOf(3), 1);
  await world.arrive(1, 2, 3);
  await world.work();
  expect(world.diskEpoch()).toBe(3);
  return world.calls.length;
}

/** Until every promise that can settle has settled. */
async function settled(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}
