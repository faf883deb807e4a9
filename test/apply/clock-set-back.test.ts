import { describe, expect, it } from "vitest";
import { lookWorker } from "../../orchestrations/activities/workers.ts";
import { CLAIM_MS, STORE_BLOB_WRITE_MS } from "../../replication/limits.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { type OneItem, openOneItem, plansOf } from "./one-item.ts";
import { ITEM_ID } from "./small-world.ts";

const HOUR_MS = 3_600_000;
const ids = { next: () => "0".repeat(32) };

/** A worker has died in the middle of a batch. */
async function deadHolder(): Promise<OneItem> {
  const world = await openOneItem(plansOf(2));
  await world.arrive(1);
  const dying = world.work({
    around: async ({ method }, run) =>
      method === "writePages" ? Promise.reject(new Error("The process ended.")) : run(),
  });
  await expect(dying).rejects.toThrow("ended");
  const stored = await world.progress();
  expect(stored.intent.epoch).toBe(1);
  return world;
}

describe("the claim of a worker that died, after the clock of the app was set back", () => {
  it("holds no longer than any claim does", async () => {
    const world = await deadHolder();
    const stored = await readProgress(world.stores.records(ITEM_ID));
    if (stored === undefined) throw new Error("the item has no progress");
    const claim = { holder: "dead", expiresMs: world.clock.nowMs + CLAIM_MS };
    await replaceProgress(world.stores.records(ITEM_ID), stored, { ...stored.progress, ...claim });
    expect((await world.work()).kind).toBe("held");
    world.clock.nowMs -= HOUR_MS;
    const context = { stores: world.stores, clock: { now: () => world.clock.nowMs }, ids };
    expect((await sweepItem(context, ITEM_ID, "hints"))?.cache.hints).toContain("batch-begun");
    expect(await lookWorker(world.stores, ITEM_ID, world.clock.nowMs)).toEqual({
      kind: "ended",
      settleMs: CLAIM_MS + STORE_BLOB_WRITE_MS,
    });
    expect((await world.work()).kind).toBe("idle");
    expect(world.diskEpoch()).toBe(1);
  });
});
