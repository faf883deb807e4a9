import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { seededRandom } from "../../../local/lab/random.ts";
import { startChild, type Child } from "../../../local/supervisor/child.ts";
import { type CloudPorts, freePort } from "../../../local/supervisor/ports.ts";
import { until } from "./until.ts";
import { SCHEDULES, SEED, operatorOf, proven, requireBuild, startSource, temporaryFolder } from "./world.ts";

async function fixedPorts(): Promise<CloudPorts> {
  const [app = 0, cacheBlob = 0, cacheQueue = 0, targetBlob = 0, targetQueue = 0] = await Promise.all(Array.from({ length: 5 }, freePort));
  return { app, cacheBlob, cacheQueue, targetBlob, targetQueue, resourceManager: 0, nbd: undefined };
}

describe(`rule 4: nothing that was acknowledged is lost when the supervisor is killed with its storage (seed ${SEED})`, () => {
  it("goes on where the storage on disk stands, and the points are right", async () => {
    requireBuild();
    const folder = await temporaryFolder();
    await mkdir(join(folder, "cloud"));
    const parameters = [join(folder, "cloud"), JSON.stringify(await fixedPorts()), JSON.stringify(SCHEDULES)];
    const script = join(import.meta.dirname, "cloud-child.ts");
    const start = (): Promise<Child> =>
      // The app of the killed supervisor ends by itself within seconds; until then its port is taken.
      until("the cloud starts again", async () => {
        try {
          return await startChild({ name: "cloud", script, parameters, environment: {}, logFile: join(folder, "cloud.log") });
        } catch (error) {
          if (error instanceof Error && error.message.includes("is taken")) return undefined;
          throw error;
        }
      });
    let cloud = await start();
    onTestFinished(() => cloud.stop());
    const { url, functionKey } = cloud.ready;
    const operator = operatorOf(String(url), String(functionKey));
    const source = await startSource({ folder, operator, apiUrl: `${String(url)}/api`, logFolder: folder });

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
