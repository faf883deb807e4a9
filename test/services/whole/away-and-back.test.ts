import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { killInsideBatch } from "../../../local/demo/faults.ts";
import { readProgress } from "../../../local/demo/progress.ts";
import { startChild, type Child } from "../../../local/supervisor/child.ts";
import { CACHE_ACCOUNT, TARGET_ACCOUNT, type Cloud } from "../../../local/supervisor/cloud.ts";
import { appFolder, hostProgram } from "../../../local/supervisor/programs.ts";
import { until } from "./until.ts";
import { ITEM, type OnEnd, SCHEDULES, SEED, proven, startWorld } from "./world.ts";

const PATIENCE_MS = 60_000;

/**
 * A second process of the function app on the same accounts: on Azure a second instance. The supervisor's own way of
 * starting it tells no process id.
 */
async function startSecondApp(onEnd: OnEnd, cloud: Cloud, logFile: string): Promise<Child> {
  const { storage, secrets } = cloud;
  const target = storage.account(TARGET_ACCOUNT).connectionString;
  const child = await startChild({
    name: "second function app",
    script: hostProgram(),
    parameters: ["--app", appFolder(), "--port", "0"],
    environment: {
      FUNCTIONS_WORKER_RUNTIME: "node",
      AzureWebJobsStorage: target,
      CacheStorage: storage.account(CACHE_ACCOUNT).connectionString,
      TargetStorage: target,
      LEEWARD_POINT_SCHEDULE: SCHEDULES.points,
      LEEWARD_SWEEP_SCHEDULE: SCHEDULES.sweep,
      AZURE_LOCAL_FUNCTION_KEY: secrets.functionKey,
      AZURE_LOCAL_MASTER_KEY: secrets.masterKey,
    },
    logFile,
  });
  onEnd(() => child.kill());
  return child;
}

/** Freezes the process as soon as its `nth` page write from now has taken effect, before it hears of it. */
function freezeInsideBatch(cloud: Cloud, app: Child, nth: number): Promise<void> {
  return new Promise((resolve) => {
    let writes = 0;
    const forget = cloud.storage.observe(({ operation, status }) => {
      if (operation !== "PageBlob_UploadPages" || status >= 300) return;
      writes += 1;
      if (writes < nth) return;
      forget();
      process.kill(app.pid, "SIGSTOP");
      resolve();
    });
  });
}

describe.concurrent(`rule 3: two processes of the function app on the same accounts (seed ${SEED})`, () => {
  it("one that stood still inside a batch is fenced when it wakes, the other one goes on, and the points are right", async ({
    onTestFinished,
  }) => {
    const { cloud, operator, startSource, folder } = await startWorld(onTestFinished);
    const source = await startSource();
    await source.write(20);
    await operator.pointOf(await source.uploaded());

    await mkdir(join(folder, "second"));
    const logFile = join(folder, "second", "app.jsonl");
    const second = await startSecondApp(onTestFinished, cloud, logFile);
    const frozen = freezeInsideBatch(cloud, second, 3);
    // The first one lets go, so that the second one works; then it comes back.
    await cloud.app.stop();
    await source.write(60);
    await frozen;
    const torn = await readProgress(cloud.storage, ITEM);
    expect(torn.intent).toBeGreaterThan(torn.applied);
    await cloud.app.restart();
    await source.write(30);
    const epoch = await source.uploaded();
    await until("the first process has taken over", async () => {
      const { applied } = await readProgress(cloud.storage, ITEM);
      return applied >= epoch ? true : undefined;
    });
    const before = await readProgress(cloud.storage, ITEM);
    expect(before.generation).toBeGreaterThan(torn.generation);
    const taken = await operator.pointOf(epoch);

    process.kill(second.pid, "SIGCONT");
    await until("the second process gives its old claim up", async () => {
      const lines = await readFile(logFile, "utf8");
      return /claiming-again|fenced/.test(lines) ? true : undefined;
    });
    const count = source.log.length;
    await source.write(40);
    const last = await operator.pointOf(await source.uploaded());
    const [afterTakeOver, atEnd] = await proven(operator, source, [taken, last]);
    expect(afterTakeOver).toContain(count);
    expect(atEnd).toContain(source.log.length);
    expect((await operator.item()).stopped).toBeUndefined();
  });
});

describe.concurrent(`rule 7: the source region is lost in the middle of a batch (seed ${SEED})`, () => {
  it("the batch is finished from the journal, every point can be restored, and all goes on when the region is back", async ({
    onTestFinished,
  }) => {
    const { cloud, operator, startSource } = await startWorld(onTestFinished);
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
