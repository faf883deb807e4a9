import { describe, expect, it } from "vitest";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { applySlice } from "../../replication/apply/run.ts";
import type { JobRecord } from "../../replication/jobs/job.ts";
import { POINT_SETTLE_MS, SLICE_MS } from "../../replication/limits.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import { type Around, wrapStores } from "../memory/wrapped-stores.ts";
import { failover, plainOperation, protectedWorld } from "./world.ts";

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
