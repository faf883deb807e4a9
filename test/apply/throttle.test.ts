import { describe, expect, it } from "vitest";
import { type ApplyOutcome, applySlice } from "../../replication/apply/run.ts";
import type { ExtentContent } from "../../replication/delta/delta.ts";
import { LeewardError } from "../../replication/errors.ts";
import { CLAIM_MS, PUT_PAGE_MAX_BYTES, SECTOR_BYTES, SLICE_MS } from "../../replication/limits.ts";
import { PROGRESS_RECORD } from "../../replication/names.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import type { ItemStores } from "../../replication/ports.ts";
import type { Progress } from "../../replication/records/item.ts";
import { readProgress } from "../../replication/records/progress.ts";
import { createMemoryStores } from "../memory/memory-stores.ts";
import { type BlobLimits, type ThrottledDisks, throttledDisks } from "../memory/throttled-disks.ts";
import { type Around, wrapStores } from "../memory/wrapped-stores.ts";
import { openOneItem, plansOf } from "./one-item.ts";
import { CRASH, ITEM_ID, SOURCE_START_MS, enable, sealEpochs, smallItem, targetDisk, upload } from "./small-world.ts";
import { type VirtualClock, createVirtualClock } from "./virtual-clock.ts";

const MIB = 1024 * 1024;
const PUTS = 11;
/** What the documentation of Azure says of one page blob; nobody says what it takes at once. */
const AZURE: BlobLimits = { bytesPerSecond: 60 * MIB, requestsPerSecond: 500, burstBytes: 16 * MIB };

interface Throttled {
  readonly time: VirtualClock;
  readonly disks: ThrottledDisks;
  readonly content: Uint8Array;
  readonly stores: ItemStores;
  slice(): Promise<ApplyOutcome | LeewardError>;
  progress(): Promise<Progress>;
  written(): Buffer;
}

/** One item of one disk whose first delta takes eleven Put Pages of 4 MiB. */
async function openThrottled(limits: BlobLimits): Promise<Throttled> {
  const time = createVirtualClock(SOURCE_START_MS);
  const memory = createMemoryStores(time.clock);
  const content = new Uint8Array(PUTS * PUT_PAGE_MAX_BYTES);
  for (let at = 0; at < content.length; at += SECTOR_BYTES) content.fill(1 + (at % 251), at, at + SECTOR_BYTES);
  const item = smallItem([{ id: "os", sizeBytes: content.length, sectorSizeBytes: 512 }], 1);
  await enable(memory.stores, item);
  const extents: readonly ExtentContent[] = [{ kind: "data", disk: 0, offsetBytes: 0, bytes: content }];
  for (const epoch of sealEpochs(item, [{ extents, flags: CRASH }])) await upload(memory.stores, epoch);
  const disks = throttledDisks(memory.stores.disks, time.clock, limits);
  const stores: ItemStores = { ...memory.stores, disks: disks.disks };
  let slices = 0;
  return {
    time,
    disks,
    content,
    stores,
    slice() {
      slices += 1;
      const context = {
        stores,
        clock: time.clock,
        timer: time.timer,
        deadlineMs: time.clock.now() + SLICE_MS,
        log: () => undefined,
      };
      return time
        .run(applySlice({ ...context, holder: `worker-${slices}` }, ITEM_ID))
        .catch((error: unknown) => error as LeewardError);
    },
    async progress() {
      return ((await readProgress(stores.records(ITEM_ID))) as { readonly progress: Progress }).progress;
    },
    written: () => Buffer.from(memory.memory.content(targetDisk(item, "os"))),
  };
}

describe("a page blob that takes only so much in a second", () => {
  it("is not asked for more than Azure's limits: nothing is refused", async () => {
    const world = await openThrottled(AZURE);
    expect(await world.slice()).toEqual({ kind: "idle" });
    expect(world.disks.count).toEqual({ refused: 0, takenBytes: world.content.length });
    expect((await world.progress()).generation).toBe(1);
    expect(world.written().equals(world.content)).toBe(true);
  });

  it.each([
    ["half of what Azure says", { bytesPerSecond: 30 * MIB, requestsPerSecond: 250, burstBytes: 4 * MIB }],
    ["a tenth of it", { bytesPerSecond: 6 * MIB, requestsPerSecond: 50, burstBytes: 4 * MIB }],
  ])("that takes %s gets the whole batch in one claim, and each page once", async (_name, limits) => {
    const world = await openThrottled(limits);
    expect(await world.slice()).toEqual({ kind: "idle" });
    expect(world.disks.count.refused).toBeGreaterThan(0);
    expect(world.disks.count.takenBytes).toBe(world.content.length);
    const progress = await world.progress();
    expect(progress.applied.epoch).toBe(1);
    // One for the claim, and one at the end of the batch whose requests had been refused.
    expect(progress.generation).toBe(2);
    expect(world.written().equals(world.content)).toBe(true);
  });

  it("that takes nothing at all gives the message back after a time, and lets go of the item", async () => {
    const world = await openThrottled({ bytesPerSecond: 0, requestsPerSecond: 0, burstBytes: 0 });
    expect(await world.slice()).toMatchObject({ code: "store-busy" });
    expect(world.time.clock.now() - SOURCE_START_MS).toBeLessThan(2 * CLAIM_MS);
    const { holder, ...progress } = await world.progress();
    expect(holder).toBeUndefined();
    expect(progress).toMatchObject({ generation: 1, intent: { epoch: 1 }, applied: { epoch: 0 } });
  });
});

describe("a store that is busy at one step", () => {
  it("costs no claim at any of them, whatever it was asked for", async () => {
    const total = await stepCount();
    for (let step = 1; step <= total; step += 1) {
      const world = await openOneItem(plansOf(3), 1);
      await world.arrive(1, 2, 3);
      let calls = 0;
      const around: Around = async (call, run) => {
        calls += 1;
        if (calls === step && call.kind === "write" && call.port !== "cache")
          throw new LeewardError("store-busy", "busy");
        return run();
      };
      expect(await world.work({ around })).toEqual({ kind: "idle" });
      expect(world.diskEpoch()).toBe(3);
      expect((await world.progress()).generation).toBeLessThanOrEqual(2);
      const points = await world.points();
      expect(points.map((point) => world.pointEpoch(point))).toEqual(points.map(({ position }) => position.epoch));
      expect(points.length).toBeGreaterThan(0);
    }
  });

  it("rule 3: not even a refused page write that lands after its batch changes what comes then", async () => {
    const world = await openOneItem(plansOf(2), 1);
    await world.arrive(1);
    const late: (() => Promise<unknown>)[] = [];
    let writes = 0;
    const around: Around = async (call, run) => {
      if (call.method !== "writePages") return run();
      writes += 1;
      if (writes !== 1) return run();
      late.push(run);
      throw new LeewardError("store-busy", "busy");
    };
    await world.work({ around });
    await world.arrive(2);
    await world.work();
    await expect(late[0]?.()).rejects.toMatchObject({ code: "fenced" });
    expect(world.diskEpoch()).toBe(2);
  });

  it("rule 3: the new generation stands on every disk before a point of the batch is taken", async () => {
    const world = await openOneItem(plansOf(1), 1);
    await world.arrive(1);
    let refusals = 0;
    const around: Around = async (call, run) => {
      if (call.method === "writePages" && (refusals += 1) === 1) throw new LeewardError("store-busy", "busy");
      return run();
    };
    await world.work({ around });
    const steps = world.calls.filter(
      ({ method, target }) => /raise|snapshot/.test(method) || target === PROGRESS_RECORD,
    );
    expect(steps.map(({ method }) => method).join(" ")).toMatch(
      /^read replace (raiseSequenceNumber ){2}replace replace (raiseSequenceNumber ){2}(snapshot ){2}replace/,
    );
    expect((await world.points()).map(({ generation }) => generation)).toEqual([2]);
  });
});

describe("a run whose claim ended with an unknown outcome", () => {
  it("waits before it claims again, longer each time", async () => {
    const time = createVirtualClock(SOURCE_START_MS);
    const memory = createMemoryStores(time.clock);
    const item = smallItem([{ id: "os", sizeBytes: 64 * SECTOR_BYTES, sectorSizeBytes: 512 }], 1);
    await enable(memory.stores, item);
    const bytes = new Uint8Array(SECTOR_BYTES);
    const [epoch] = sealEpochs(item, [{ extents: [{ kind: "data", disk: 0, offsetBytes: 0, bytes }], flags: CRASH }]);
    if (epoch !== undefined) await upload(memory.stores, epoch);
    const triedMs: number[] = [];
    const stores = wrapStores(memory.stores, async (call, run) => {
      if (call.method !== "writePages") return run();
      triedMs.push(time.clock.now() - SOURCE_START_MS);
      throw new LeewardError("outcome-unknown", "timed out");
    });
    const context = {
      stores,
      clock: time.clock,
      timer: time.timer,
      holder: "w",
      deadlineMs: Infinity,
      log: () => undefined,
    };
    await expect(time.run(applySlice(context, ITEM_ID))).rejects.toMatchObject({ code: "outcome-unknown" });
    const pauses = triedMs.slice(1).map((at, index) => at - (triedMs[index] ?? 0));
    expect(pauses.length).toBeGreaterThan(1);
    for (const [index, pause] of pauses.entries()) expect(pause).toBeGreaterThan(pauses[index - 1] ?? 0);
    expect((await listPoints(stores.records(ITEM_ID))).points).toEqual([]);
  });
});

/** How many port calls a run over three epochs makes. */
async function stepCount(): Promise<number> {
  const world = await openOneItem(plansOf(3), 1);
  await world.arrive(1, 2, 3);
  await world.work();
  return world.calls.length;
}
