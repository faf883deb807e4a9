import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "../api/client.ts";
import { startCloud, type Cloud } from "../local/supervisor/cloud.ts";
import { FREE_PORTS } from "../local/supervisor/ports.ts";
import { listOf, textOf } from "../replication/resources/json.ts";
import { createRandom } from "../test/memory/random.ts";
import { atMost, type Figure } from "./figure.ts";
import { machineId, makeSourceMachines, managementOf, writeAsGuest } from "./source-machines.ts";
import { median } from "./statistics.ts";
import { until } from "./until.ts";

const TARGET_GROUP = "shop-asr";
const SCHEDULES = { points: "*/10 * * * * *", sweep: "*/30 * * * * *" };
const POINT_INTERVAL_MINUTES = 1;
const ALONE = ["one-1", "one-2", "one-3"] as const;
const TOGETHER = Array.from({ length: 10 }, (_, index) => `ten-${index}`);
/** Reading ten machines of 2 GiB each on a machine with other work. */
const STAGE_MS = 900_000;
const LOOK_MS = 250;
/**
 * The process that serves the whole cloud also polls ten machines: polling more often would cost what is measured. It
 * counts as time in full.
 */
const FINE_LOOK_MS = 100;

/**
 * From the call of a failover until the target machine runs and the job has succeeded, on the whole local cloud, whose
 * Resource Manager answers as soon as its work is done: the rest is Leeward's own time. The machines were protected by
 * their ids, hold some MiB and have a recovery point. First a few in sequence while nothing else is protected, then ten
 * at once.
 */
export async function failoverFigures(seed: number): Promise<readonly Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-failover-"));
  const cloud = await startCloud({
    folder,
    ports: FREE_PORTS,
    persistence: "disk",
    schedules: SCHEDULES,
    random: createRandom(seed).next,
  });
  try {
    const alone: number[] = [];
    const points = await protectMachines(cloud, ALONE);
    for (const name of ALONE) alone.push(await failOver(cloud, new Map([[name, points.get(name) ?? ""]])));
    const together = await failOver(cloud, await protectMachines(cloud, TOGETHER));
    const [one, ten] = [median(alone) / 1000, together / 1000];
    const what = "failover call to all target VMs running, two disks of 1 GiB each";
    return [
      { name: `${what}: one VM (${ALONE.length} of them)`, value: one, unit: "s", goal: atMost(3) },
      { name: `${what}: ${TOGETHER.length} VMs at once`, value: ten, unit: "s", goal: undefined },
      {
        name: `the same, ${TOGETHER.length} VMs at once in relation to one`,
        value: ten / one,
        unit: "x",
        goal: atMost(4),
      },
    ];
  } finally {
    await cloud.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The newest point of each machine, once it has the guest's writes. */
async function protectMachines(cloud: Cloud, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  await makeSourceMachines(cloud, names);
  const policy = { crashConsistentFrequencyInMinutes: POINT_INTERVAL_MINUTES };
  const api = createClient({ url: cloud.app.url, functionKey: cloud.secrets.functionKey });
  const jobs = await each(names, async (item) => {
    const body = { sourceVmId: machineId(cloud, item), targetRegion: "northeurope", policy };
    return (await api.protectItem({ item, body })).body;
  });
  await each(jobs, ({ name }) =>
    until("protected", { maxMs: STAGE_MS, lookMs: LOOK_MS }, () => jobSucceeded(api, name)),
  );
  const isProtected = async (name: string): Promise<boolean> =>
    (await api.showItem({ item: name })).body.protectionState === "Protected";
  await each(names, (name) => until("replicated", { maxMs: STAGE_MS, lookMs: LOOK_MS }, () => isProtected(name)));
  const points = new Map<string, string>();
  await each(names, async (name) => {
    await writeAsGuest(cloud, name);
    const writtenMs = Date.now();
    await until("a point with all writes", { maxMs: STAGE_MS, lookMs: LOOK_MS }, async () => {
      const [newest] = (await api.listRecoveryPoints({ item: name })).body.value;
      if (newest === undefined || "damaged" in newest || Date.parse(newest.sourceTime) < writtenMs) return false;
      points.set(name, newest.name);
      return true;
    });
  });
  return points;
}

/** Milliseconds from the first call until every target machine runs and every job has succeeded. */
async function failOver(cloud: Cloud, points: ReadonlyMap<string, string>): Promise<number> {
  const management = managementOf(cloud);
  const isRunning = async (target: string): Promise<boolean> => {
    // The cloud's own state costs no request; afterwards its API decides.
    if (cloud.resourceManager.machineOf(target) === undefined) return false;
    const view = await management.read(`${target}/instanceView`);
    return listOf(view, "statuses").some((status) => textOf(status, "code") === "PowerState/running");
  };
  const api = createClient({ url: cloud.app.url, functionKey: cloud.secrets.functionKey });
  const startedMs = performance.now();
  await each([...points], async ([name, recoveryPointId]) => {
    const { body: job } = await api.unplannedFailover({ item: name, body: { recoveryPointId } });
    await until("running", { maxMs: STAGE_MS, lookMs: FINE_LOOK_MS }, () =>
      isRunning(machineId(cloud, name, TARGET_GROUP)),
    );
    await until("succeeded", { maxMs: STAGE_MS, lookMs: FINE_LOOK_MS }, () => jobSucceeded(api, job.name));
  });
  return performance.now() - startedMs;
}

async function jobSucceeded(api: Client, name: string): Promise<boolean> {
  const { state, errors } = (await api.showJob({ job: name })).body;
  if (state === "Failed" || state === "Cancelled")
    throw new Error(`The job ended as ${state}: ${JSON.stringify(errors)}`);
  return state === "Succeeded";
}

const each = <Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> => Promise.all(items.map(work));
