import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { killInsideBatch } from "../../../local/demo/faults.ts";
import { seededRandom } from "../../../local/lab/random.ts";
import { ITEM, SEED, proven, startWorld } from "./world.ts";

const PATIENCE_MS = 60_000;

describe(`rule 4: nothing that a flush confirmed is lost when processes are killed (seed ${SEED})`, () => {
  it("the mobility service, at any moment of writes, seeding and uploads", async () => {
    const { operator, startSource } = await startWorld();
    const random = seededRandom(SEED, 1);
    const source = await startSource();
    for (let kill = 0; kill < 6; kill += 1) {
      const writing = source.write(30);
      await sleep(random.below(kill === 0 ? 30 : 250));
      await source.kill();
      await source.restart();
      await writing;
    }
    const point = await operator.pointOf(await source.uploaded());
    const middle = (await operator.points()).filter(({ name }) => name !== point.name).slice(0, 2);
    const [last] = await proven(operator, source, [point, ...middle]);
    expect(source.flushed).toBe(source.log.length);
    expect(last).toContain(source.log.length);
    expect((await operator.item()).stopped).toBeUndefined();
  });

  it("the function app, inside a batch and again at once", async () => {
    const { cloud, operator, startSource } = await startWorld();
    const random = seededRandom(SEED, 2);
    const source = await startSource();
    await operator.pointOf(await source.uploaded());
    const killed = killInsideBatch(cloud, ITEM, 1 + random.below(8), PATIENCE_MS);
    await source.write(120);
    const { intent, applied } = await killed;
    expect(intent).toBeGreaterThan(applied);
    await cloud.app.restart();
    await sleep(random.below(1500));
    await cloud.app.kill();
    const before = await source.uploaded();
    await cloud.app.restart();
    await source.write(20);
    const point = await operator.pointOf(await source.uploaded());
    const others = (await operator.points()).filter(({ position }) => position.epoch <= before).slice(0, 2);
    const [last] = await proven(operator, source, [point, ...others]);
    expect(last).toContain(source.log.length);
  });
});
