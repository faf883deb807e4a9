import { describe, expect, it } from "vitest";
import { createLargeBatches } from "../../replication/apply/large-batches.ts";
import { CLAIM_MS } from "../../replication/limits.ts";
import type { Around } from "../memory/wrapped-stores.ts";
import { type OneItem, openOneItem, plansOf } from "./one-item.ts";

/** The deltas of these epochs have somewhat less than this. */
const DELTA_BYTES = 900;
const bounds = { smallBatchMaxBytes: DELTA_BYTES };

const batches = (world: OneItem): readonly (readonly [number, number])[] =>
  world.events.flatMap((event) =>
    event.kind === "batch-applied" ? [[event.fromEpoch + 1, event.toEpoch] as const] : [],
  );
const settled = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

describe("rule 9: large batches", () => {
  it("are begun by as many as the process has room for, and each gives its room back once", () => {
    const rights = createLargeBatches(2);
    const [first, second] = [rights.tryBegin(), rights.tryBegin()];
    expect(rights.tryBegin()).toBeUndefined();
    first?.();
    first?.();
    expect(rights.tryBegin()).toBeDefined();
    expect(rights.tryBegin()).toBeUndefined();
    second?.();
    expect(rights.tryBegin()).toBeDefined();
  });

  it("are not needed by an item whose deltas come one by one: it is kept up while others hold all the room", async () => {
    const world = await openOneItem(plansOf(6));
    for (const epoch of world.epochs) expect(epoch.bytes.length).toBeLessThanOrEqual(DELTA_BYTES);
    const none = createLargeBatches(0);
    await world.arrive(1, 2, 3, 4, 5, 6);
    expect(await world.work({ bounds, largeBatches: none })).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(6);
    // Two of these small deltas fill a small batch; the first epoch ends its own.
    expect(batches(world)).toEqual([
      [1, 1],
      [2, 3],
      [4, 5],
      [6, 6],
    ]);
  });

  it("begin as soon as a small one was full, when there is room", async () => {
    const world = await openOneItem(plansOf(6));
    await world.arrive(1, 2, 3, 4, 5, 6);
    await world.work({ bounds, largeBatches: createLargeBatches(1) });
    expect(batches(world)).toEqual([
      [1, 1],
      [2, 3],
      [4, 6],
    ]);
  });

  it("are waited for with the claim kept when the next delta is large, and the room is free again afterwards", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1, 2);
    const rights = createLargeBatches(1);
    const other = rights.tryBegin();
    let waits = 0;
    const around: Around = async (call, run) => {
      if (call.method === "replace") waits += 1;
      // Another item of this process ends its batch after more than the life of a claim.
      if (world.clock.nowMs > START_MS + 2 * CLAIM_MS) other?.();
      return run();
    };
    const START_MS = world.clock.nowMs;
    const small = { smallBatchMaxBytes: 100 };
    expect(await world.work({ around, bounds: small, largeBatches: rights, sliceMs: 10 * CLAIM_MS })).toEqual({
      kind: "idle",
    });
    expect(world.diskEpoch()).toBe(2);
    expect(waits).toBeGreaterThan(4);
    expect((await world.progress()).generation).toBe(1);
    expect(rights.tryBegin()).toBeDefined();
  });

  it("that do not come to their turn in a slice are handed on, and small ones before them are applied", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1, 2);
    const none = createLargeBatches(0);
    expect(await world.work({ bounds: { smallBatchMaxBytes: 100 }, largeBatches: none })).toEqual({ kind: "more" });
    expect((await world.progress()).holder).toBeUndefined();
    expect(world.diskEpoch()).toBe(0);
  });

  it("finish a batch that was begun, whatever its size: and no other batch does", async () => {
    const world = await openOneItem(plansOf(4));
    await world.arrive(1, 2, 3, 4);
    const forever: Around = async (call, run) => (call.method === "writePages" ? new Promise(() => undefined) : run());
    void world.work({ around: forever });
    await settled();
    world.clock.nowMs += CLAIM_MS;
    expect(await world.work({ bounds, largeBatches: createLargeBatches(0) })).toEqual({ kind: "more" });
    expect((await world.progress()).applied.epoch).toBe(0);
    expect(await world.work({ bounds, largeBatches: createLargeBatches(1) })).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(4);
  });

  it("give their room back when they fail", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    const rights = createLargeBatches(1);
    const failing: Around = async (call, run) => {
      if (call.method === "writePages") throw new Error("broken");
      return run();
    };
    await expect(
      world.work({ around: failing, bounds: { smallBatchMaxBytes: 100 }, largeBatches: rights }),
    ).rejects.toThrow("broken");
    expect(rights.tryBegin()).toBeDefined();
  });
});
