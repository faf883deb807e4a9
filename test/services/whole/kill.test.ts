import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { killInsideBatch } from "../../../local/demo/faults.ts";
import { seededRandom } from "../../../local/lab/random.ts";
import { startChild, type Child } from "../../../local/supervisor/child.ts";
import { type CloudPorts, freePort } from "../../../local/supervisor/ports.ts";
import { until } from "./until.ts";
import {
  ITEM,
  SCHEDULES,
  SEED,
  operatorOf,
  proven,
  requireBuild,
  startSource,
  startWorld,
  temporaryFolder,
} from "./world.ts";

const PATIENCE_MS = 60_000;

async function fixedPorts(): Promise<CloudPorts> {
  const free = await Promise.all(Array.from({ length: 7 }, freePort));
  const [app = 0, cacheBlob = 0, cacheQueue = 0, targetBlob = 0, targetQueue = 0, resourceManager = 0, eventTopic = 0] =
    free;
  return { app, cacheBlob, cacheQueue, targetBlob, targetQueue, resourceManager, eventTopic, nbd: undefined };
}

describe.concurrent(`rule 4: nothing that a flush confirmed is lost when processes are killed (seed ${SEED})`, () => {
  it("the mobility service, at any moment of writes, seeding and uploads", async ({ onTestFinished }) => {
    const { operator, startSource } = await startWorld(onTestFinished);
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

  it("the function app, inside a batch and again at once", async ({ onTestFinished }) => {
    const { cloud, operator, startSource } = await startWorld(onTestFinished);
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

  it("the supervisor with its storage and events, which go on where they stand on disk", async ({ onTestFinished }) => {
    requireBuild();
    const folder = await temporaryFolder(onTestFinished);
    await mkdir(join(folder, "cloud"));
    const parameters = [join(folder, "cloud"), JSON.stringify(await fixedPorts()), JSON.stringify(SCHEDULES)];
    const script = join(import.meta.dirname, "cloud-child.ts");
    const start = (): Promise<Child> =>
      // The app of the killed supervisor ends by itself within seconds; until then its port is taken.
      until("the cloud starts again", async () => {
        try {
          return await startChild({
            name: "cloud",
            script,
            parameters,
            environment: {},
            logFile: join(folder, "cloud.log"),
          });
        } catch (error) {
          if (error instanceof Error && error.message.includes("is taken")) return undefined;
          throw error;
        }
      });
    let cloud = await start();
    onTestFinished(() => cloud.stop());
    const { url, functionKey } = cloud.ready;
    const operator = operatorOf(String(url), String(functionKey));
    const source = await startSource({
      folder,
      operator,
      apiUrl: `${String(url)}/api`,
      logFolder: folder,
      onEnd: onTestFinished,
    });

    const random = seededRandom(SEED, 3);
    for (let kill = 0; kill < 3; kill += 1) {
      const writing = source.write(60);
      await sleep(random.below(900));
      await cloud.kill();
      cloud = await start();
      await writing;
    }
    await source.write(20);
    const point = await operator.pointOf(await source.uploaded());
    const others = (await operator.points()).filter(({ name }) => name !== point.name).slice(0, 2);
    const [last] = await proven(operator, source, [point, ...others]);
    expect(last).toContain(source.log.length);
    expect((await operator.item()).stopped).toBeUndefined();
  });
});
