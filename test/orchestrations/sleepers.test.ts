import { describe, expect, it } from "vitest";
import { runActivity } from "../../orchestrations/activities/run-activity.ts";
import { applySlice } from "../../replication/apply/run.ts";
import type { JobRecord } from "../../replication/jobs/job.ts";
import { POINT_SETTLE_MS, SLICE_MS } from "../../replication/limits.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import { readItem } from "../../replication/records/item-record.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { type Around, wrapStores } from "../memory/wrapped-stores.ts";
import { type FlowWorld, enable, failover, plainOperation, protectedWorld } from "./world.ts";

/** What recovery needs. */
const lifeOf = async ({ stores }: FlowWorld): Promise<unknown> => [
  (await readItem(stores, "web-1")).item,
  (await readProgress(stores.records("web-1")))?.progress,
  await stores.listStreams("web-1", "target"),
  await stores.listStreams("web-1", "cache"),
  (await listPoints(stores.records("web-1"))).points.length,
];

const NO_PAUSE = { pause: async () => undefined };

describe("a worker that slept longer than its claim lasts", () => {
  it.each(["snapshots", "manifest"] as const)(
    "before the %s of a point, while the failover was committed, makes none when it wakes",
    async (what) => {
      const world = await protectedWorld();
      await world.operate(failover());
      await world.pass(10 * POINT_SETTLE_MS);
      const { stores, clock } = world.context;
      const stored = await readProgress(stores.records("web-1"));
      if (stored === undefined) throw new Error("the item replicates");
      const applied = { ...stored.progress.applied, epoch: stored.progress.applied.epoch + 1 };
      await replaceProgress(stores.records("web-1"), stored, { ...stored.progress, applied, intent: applied });
      let committing: Promise<JobRecord> | undefined;
      const around: Around = async ({ method, target }, run) => {
        const isHere =
          what === "snapshots" ? method === "snapshot" : method === "create" && target.startsWith("points/");
        if (isHere) await (committing ??= world.operate(plainOperation("Commit")));
        return run();
      };
      const worker = { holder: "asleep", deadlineMs: clock.now() + SLICE_MS, timer: NO_PAUSE, log: () => undefined };
      await applySlice({ ...worker, stores: wrapStores(stores, around), clock }, "web-1");
      expect(await committing).toMatchObject({ state: "Succeeded", errors: [] });
      expect((await listPoints(stores.records("web-1"))).points).toEqual([]);
    },
  );
});

describe("an activity that slept past its job", () => {
  it.each(["removeTargetData", "forgetItem", "removeData"] as const)(
    "%s: leaves the item's next life whole when it wakes",
    async (name) => {
      const world = await protectedWorld();
      const { run } = await world.ask(plainOperation("DisableProtection"));
      let whole: unknown;
      const ends: string[] = [];
      const { stores } = world.context;
      const around: Around = async ({ port, method }, go) => {
        const isHere = port === "items" && (method === "removeTargetData" || method === "forgetItem");
        if (isHere && whole === undefined) {
          ends.push((await world.finish(run)).state, (await world.operate(enable())).state);
          whole = await lifeOf(world);
        }
        return go();
      };
      const { kind } = await runActivity({ ...world.context, stores: wrapStores(stores, around) }, name, {
        run,
        input: undefined,
      });
      expect(ends).toEqual(["Succeeded", "Succeeded"]);
      expect(await lifeOf(world)).toEqual(whole);
      // A conflict, which a flow that still holds the item would try again.
      expect(kind).toBe("failed");
    },
  );

  it.each([
    ["silenceSource", "DisableProtection"],
    ["endReplication", "DisableProtection"],
    ["closeStream", "Commit"],
  ] as const)("%s: changes nothing in the record of the item's next life when it wakes", async (name, operation) => {
    const world = await protectedWorld();
    if (operation === "Commit") await world.operate(failover());
    const { run } = await world.ask(plainOperation(operation));
    let whole: unknown;
    const { stores } = world.context;
    const around: Around = async ({ method, target }, go) => {
      if (method === "read" && target === "item.json" && whole === undefined) {
        await world.finish(run);
        if (operation === "Commit") await world.operate(plainOperation("DisableProtection"));
        const enabled = await world.operate(enable());
        whole = { state: enabled.state, life: await lifeOf(world) };
      }
      return go();
    };
    const { kind } = await runActivity({ ...world.context, stores: wrapStores(stores, around) }, name, {
      run,
      input: undefined,
    });
    expect(whole).toEqual({ state: "Succeeded", life: await lifeOf(world) });
    expect(kind).toBe("failed");
  });
});
