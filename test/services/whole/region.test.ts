import { describe, expect, it } from "vitest";
import { killInsideBatch } from "../../../local/demo/faults.ts";
import { readProgress } from "../../../local/demo/progress.ts";
import { CACHE_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { until } from "./until.ts";
import { ITEM, SEED, proven, startWorld } from "./world.ts";

const PATIENCE_MS = 60_000;

describe(`rule 7: the source region is lost in the middle of a batch (seed ${SEED})`, () => {
  it("the batch is finished from the journal, every point can be restored, and all goes on when the region is back", async () => {
    const { cloud, operator, startSource } = await startWorld();
    const source = await startSource();
    await source.write(30);
    const early = await operator.pointOf(await source.uploaded());
    const earlyCount = source.log.length;

    const killed = killInsideBatch(cloud, ITEM, 2, PATIENCE_MS);
    await source.write(60);
    const torn = await killed;
    cloud.storage.setReachable(CACHE_ACCOUNT, false);
    await cloud.app.restart();
    // While the source region is gone and a batch lies half on the disks.
    const [first] = await proven(operator, source, [early]);
    expect(first).toContain(earlyCount);
    await until("the batch that was begun is finished", async () => {
      const { applied, intent } = await readProgress(cloud.storage, ITEM);
      return applied >= torn.intent && intent === applied ? true : undefined;
    });
    const [finished] = await proven(operator, source, [await operator.pointOf(torn.intent)]);
    expect(finished?.at(-1)).toBeGreaterThan(earlyCount);
    expect((await operator.item()).stopped).toBeUndefined();

    // The guest was served all the time.
    await source.write(20);
    cloud.storage.setReachable(CACHE_ACCOUNT, true);
    const [last] = await proven(operator, source, [await operator.pointOf(await source.uploaded())]);
    expect(last).toContain(source.log.length);
  });
});
