import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connectBlobs } from "../azure/connections.ts";
import { openRecords } from "../azure/records.ts";
import { openNbdDisk, type NbdDisk } from "../local/lab/nbd-client.ts";
import { TARGET_ACCOUNT, startCloud, type Cloud } from "../local/supervisor/cloud.ts";
import type { MobilityService } from "../local/supervisor/mobility-service.ts";
import { FREE_PORTS } from "../local/supervisor/ports.ts";
import { protectVm } from "../local/supervisor/protect-vm.ts";
import { withConcurrency } from "../replication/concurrency.ts";
import { itemContainer } from "../replication/names.ts";
import type { Progress } from "../replication/records/item.ts";
import { placedRecords } from "../replication/records/placed-records.ts";
import { readProgress } from "../replication/records/progress.ts";
import { createRandom } from "../test/memory/random.ts";
import { atMost, type Figure } from "./figure.ts";
import { percentile } from "./statistics.ts";
import { databaseTrace, textContent, type TraceWrite } from "./trace.ts";
import { until } from "./until.ts";
import { openWriteTimes, type WriteTimes } from "./write-times.ts";

const MIB = 1024 * 1024;
const ITEM_ID = "bench-vm";
/** The trace's order: data, then log. */
const DISKS = [
  { id: "data", sizeBytes: 1024 * MIB },
  { id: "log", sizeBytes: 128 * MIB },
] as const;
const EPOCH_MS = 5_000;
const SCHEDULES = { points: "*/10 * * * * *", sweep: "*/30 * * * * *" };
const POINT_INTERVAL_MINUTES = 1;
/** The guest's outstanding writes, like a disk queue. */
const WRITES_IN_FLIGHT = 32;
const FLUSH_MS = 1_000;
const BURST_WRITES = 16_000;
const LOAD_MS = 60_000;
const SAMPLE_MS = 250;
/** One stage on a slow machine. */
const PATIENCE = { maxMs: 120_000, lookMs: SAMPLE_MS };
/** Contents are made before the load begins: a guest spends no machine time on them. */
const CONTENT_BYTES = 64 * 1024;
const CONTENT_COUNT = 256;

/**
 * The whole product on the local cloud, all on this one machine: the trace is written through NBD at half of the rate
 * the pipeline can sustain, with epochs of 5 s. The recovery point objective at a moment is the age of the oldest guest
 * write not yet applied at the target (0 when there is none): the loss if the source vanished then. It is sampled every
 * 250 ms under load.
 */
export async function rpoFigures(seed: number): Promise<readonly Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-rpo-"));
  const random = createRandom(seed).next;
  const cloud = await startCloud({ folder, ports: FREE_PORTS, persistence: "disk", schedules: SCHEDULES, random });
  try {
    const mobility = await startVm(cloud, join(folder, "vm"));
    const progress = progressOf(cloud);
    await until("seeded", PATIENCE, async () => !(await progress()).seeding);
    const contents = Array.from({ length: CONTENT_COUNT }, (_, index) => textContent(seed + index, CONTENT_BYTES));
    const play = (writes: readonly TraceWrite[], paced: boolean, times: WriteTimes) =>
      playWrites(mobility, writes, paced, contents, times);
    const burst = databaseTrace({
      seed,
      durationMs: 1,
      writesPerSecond: BURST_WRITES * 1000,
      diskBytes: DISKS[0].sizeBytes,
    });
    const bytesPerSecond = await saturation(burst, (times) => play(burst, false, times), progress, mobility);
    const meanBytes = bytesOf(burst) / burst.length;
    const load = databaseTrace({
      seed: seed + 1,
      durationMs: LOAD_MS,
      writesPerSecond: bytesPerSecond / 2 / meanBytes,
      diskBytes: DISKS[0].sizeBytes,
    });
    const times = openWriteTimes();
    const startedMs = performance.now();
    const agesMs = await whileRunning(play(load, true, times), async () => {
      const { appliedSourceMs } = await progress();
      return times.oldestMissingMs(appliedSourceMs, Date.now());
    });
    const loadBytesPerSecond = (bytesOf(load) / (performance.now() - startedMs)) * 1000;
    const epochs = (share: number): number => percentile(agesMs, share) / EPOCH_MS;
    return [
      {
        name: "saturation of the whole product on this machine, guest bytes",
        value: bytesPerSecond / MIB,
        unit: "MiB/s",
        goal: undefined,
      },
      // Half of the real rate: a writer slowed down by the disks would invalidate the figures below.
      {
        name: "rate of the guest while the RPO is measured",
        value: loadBytesPerSecond / MIB,
        unit: "MiB/s",
        goal: undefined,
      },
      { name: "RPO p50 at half of the saturation, in epochs of 5 s", value: epochs(0.5), unit: "", goal: atMost(1.5) },
      {
        name: `RPO p99 at half of the saturation, in epochs of 5 s (${agesMs.length} samples)`,
        value: epochs(0.99),
        unit: "",
        goal: atMost(3),
      },
    ];
  } finally {
    await cloud.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const bytesOf = (writes: readonly TraceWrite[]): number => writes.reduce((sum, write) => sum + write.lengthBytes, 0);

async function startVm(cloud: Cloud, folder: string): Promise<MobilityService> {
  const disks = DISKS.map(({ id, sizeBytes }) => ({ id, sizeBytes, path: `${folder}-${id}.img` }));
  for (const { path, sizeBytes } of disks) {
    await writeFile(path, "");
    await truncate(path, sizeBytes);
  }
  return protectVm(cloud, {
    itemId: ITEM_ID,
    disks,
    folder,
    crashConsistentFrequencyInMinutes: POINT_INTERVAL_MINUTES,
    epochMaxAgeMs: EPOCH_MS,
    heartbeatMs: EPOCH_MS,
    nbdPort: undefined,
  });
}

/** The item's own record in the target account. */
function progressOf(cloud: Cloud): () => Promise<Progress> {
  const target = connectBlobs(TARGET_ACCOUNT, {
    kind: "connection-string",
    connectionString: cloud.storage.account(TARGET_ACCOUNT).connectionString,
  });
  const records = placedRecords(openRecords(target, itemContainer(ITEM_ID)), itemContainer(ITEM_ID));
  return async () => {
    const stored = await readProgress(records);
    if (stored === undefined) throw new Error("The item has no progress record.");
    if (stored.progress.stopped !== undefined) throw new Error(`The item stopped: ${stored.progress.stopped.message}`);
    return stored.progress;
  };
}

/**
 * Bytes per second of a burst written as fast as the disks accept it, from its first write until all of it is applied.
 * On one machine capturing takes processor time from applying, so the pipeline can sustain this, not the faster drain
 * rate after the burst.
 */
async function saturation(
  burst: readonly TraceWrite[],
  play: (times: WriteTimes) => Promise<void>,
  progress: () => Promise<Progress>,
  mobility: MobilityService,
): Promise<number> {
  const times = openWriteTimes();
  const startedMs = performance.now();
  await play(times);
  mobility.cut();
  await until("drained", PATIENCE, async () => times.allApplied((await progress()).appliedSourceMs));
  return (bytesOf(burst) / (performance.now() - startedMs)) * 1000;
}

/** Sends the writes to the disks, at their times or as fast as accepted, with a flush of both disks every second. */
async function playWrites(
  mobility: MobilityService,
  writes: readonly TraceWrite[],
  paced: boolean,
  contents: readonly Uint8Array[],
  times: WriteTimes,
): Promise<void> {
  const disks: NbdDisk[] = [];
  for (const { id } of DISKS) disks.push(await openNbdDisk(mobility.address, id));
  const startedMs = Date.now();
  let flushMs = startedMs + FLUSH_MS;
  await withConcurrency(WRITES_IN_FLIGHT, async (begin) => {
    for (const write of writes) {
      const aheadMs = paced ? startedMs + write.atMs - Date.now() : 0;
      if (aheadMs > 0) await sleep(aheadMs);
      const content = contents[write.content % contents.length] ?? new Uint8Array();
      await begin(async () => {
        const acknowledged = times.sent(Date.now());
        await disks[write.disk]?.write(write.offsetBytes, content.subarray(0, write.lengthBytes));
        acknowledged(Date.now());
      });
      if (Date.now() < flushMs) continue;
      flushMs += FLUSH_MS;
      for (const disk of disks) await begin(() => disk.flush());
    }
  });
  for (const disk of disks) disk.close();
}

/** Polls until `running` has ended. */
async function whileRunning(running: Promise<void>, ask: () => Promise<number>): Promise<readonly number[]> {
  const answers: number[] = [];
  const ended = running.then(() => true as const);
  // The race below, perhaps a little later, throws its failure.
  ended.catch(() => undefined);
  for (let at = performance.now(); ; at += SAMPLE_MS) {
    answers.push(await ask());
    const pause = sleep(Math.max(0, at + SAMPLE_MS - performance.now()), false as const);
    if (await Promise.race([ended, pause])) return answers;
  }
}
