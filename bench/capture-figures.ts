import { mkdtemp, open, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PATIENCE, startBenchCache, startBenchService, type BenchCache, type BenchService } from "./capture-service.ts";
import { atLeast, atMost, type Figure } from "./figure.ts";
import { missingCaptureTools, runFio, withPeer, type FioJob, type FioResult } from "./fio.ts";
import { median } from "./statistics.ts";
import { until } from "./until.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const DISK_BYTES = 512 * MIB;
const MEMORY_FOLDER = "/dev/shm";
const NEEDED_BYTES = 4 * GIB;
const SERVERS = ["leeward", "nbdkit", "qemu-nbd"] as const;
type ServerName = (typeof SERVERS)[number];

/**
 * Site Recovery's churn limits of one VM in MB/s: the usual one and "high churn". Its tables assume requests of 8 to 32
 * KiB.
 */
const DEMANDS_MB = [54, 100] as const;
const DEMAND_BLOCK_BYTES = 16 * 1024;
const DEMAND_SECONDS = 8;
const CHURN_BYTES = 50 * MIB;
const CHURN_SECONDS = 15;
const OUTAGE_CHURN_BYTES = 20 * MIB;
/** The goal is for 60 s; the drain rate does not depend on the length, the bench's duration does. */
const OUTAGE_SECONDS = 15;
const OUTAGE_SAID_SECONDS = 60;

/**
 * What capturing costs the guest and the machine: the mobility service against servers that only store, on one image,
 * in one run, with one fio job. Every write of the service goes into its journal, its image and a sealed delta, which
 * an HTTP server in this process takes. `missing` names the tools whose absence prevents the figure.
 */
export async function captureFigures(rounds: number): Promise<CaptureFigures> {
  const tools = missingCaptureTools();
  if (tools.length > 0) return { kind: "missing", tools };
  const place = await placeForFiles();
  const folder = await mkdtemp(join(place.path, "leeward-capture-"));
  const cache = await startBenchCache();
  try {
    const bench: Bench = { folder, imagePath: join(folder, "disk.img"), cache };
    await fillImage(bench.imagePath);
    const figures = [
      ...(await speedFigures(bench, rounds)),
      ...(await churnFigures(bench)),
      ...(await outageFigures(bench)),
    ];
    return { kind: "figures", place: place.text, figures };
  } finally {
    await cache.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

type CaptureFigures =
  | { readonly kind: "figures"; readonly place: string; readonly figures: readonly Figure[] }
  | { readonly kind: "missing"; readonly tools: readonly string[] };

/**
 * Image, journal and spool in memory if there is space, so that the figures measure the programs and not this machine's
 * disk.
 */
async function placeForFiles(): Promise<{ readonly path: string; readonly text: string }> {
  const free = await statfs(MEMORY_FOLDER).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  return free >= NEEDED_BYTES
    ? { path: MEMORY_FOLDER, text: "files in memory" }
    : { path: tmpdir(), text: "files on this machine's disk" };
}

interface Bench {
  readonly folder: string;
  readonly imagePath: string;
  readonly cache: BenchCache;
}

/**
 * Zeros, so initial replication is negligible; written, because otherwise the first writer would pay for allocating the
 * blocks.
 */
async function fillImage(path: string): Promise<void> {
  const file = await open(path, "w");
  const chunk = Buffer.alloc(4 * MIB);
  for (let at = 0; at < DISK_BYTES; at += chunk.length) await file.write(chunk, 0, chunk.length, at);
  await file.sync();
  await file.close();
}

let services = 0;
async function withService<Result>(
  { folder, imagePath, cache }: Bench,
  use: (service: BenchService) => Promise<Result>,
): Promise<Result> {
  const own = await mkdtemp(join(folder, `service-${++services}-`));
  const service = await startBenchService(own, imagePath, cache);
  try {
    return await use(service);
  } finally {
    await service.stop();
    await rm(own, { recursive: true, force: true });
  }
}

type Shape = Pick<FioJob, "pattern" | "blockBytes" | "queueDepth" | "sizeBytes" | "seconds">;
const SMALL: Shape = { pattern: "randwrite", blockBytes: 4096, queueDepth: 16, sizeBytes: 256 * MIB, seconds: 2 };
const LARGE: Shape = { pattern: "write", blockBytes: MIB, queueDepth: 4, sizeBytes: 256 * MIB, seconds: 2 };

async function speedFigures(bench: Bench, rounds: number): Promise<readonly Figure[]> {
  const small: Record<ServerName, FioResult>[] = [];
  const large: Record<ServerName, FioResult>[] = [];
  await withService(bench, async (service) => {
    for (let round = 0; round < rounds; round += 1) {
      small.push(await onEveryServer(bench, service, SMALL, round));
      large.push(await onEveryServer(bench, service, LARGE, round));
    }
  });
  return [
    ...shapeFigures("4 KiB random writes, queue depth 16", small, 0.85),
    ...shapeFigures("1 MiB sequential writes, queue depth 4", large, 0.4),
  ];
}

/** The order changes each round, so that no server always has the warmer machine. */
async function onEveryServer(
  bench: Bench,
  service: BenchService,
  shape: Shape,
  round: number,
): Promise<Record<ServerName, FioResult>> {
  const results: Partial<Record<ServerName, FioResult>> = {};
  for (let turn = 0; turn < SERVERS.length; turn += 1) {
    const name = SERVERS[(turn + round) % SERVERS.length] ?? "leeward";
    if (name === "leeward") {
      results[name] = await runFio({ ...shape, socketPath: service.socketPath });
      // Sealing the rest would take the processor from the next server.
      await service.idle();
    } else {
      const socketPath = join(bench.folder, `${name}.sock`);
      results[name] = await withPeer(name, bench.imagePath, socketPath, () => runFio({ ...shape, socketPath }));
      await rm(socketPath, { force: true });
    }
  }
  const { leeward, nbdkit, "qemu-nbd": qemuNbd } = results;
  if (leeward === undefined || nbdkit === undefined || qemuNbd === undefined) throw new Error("A server was left out.");
  return { leeward, nbdkit, "qemu-nbd": qemuNbd };
}

function shapeFigures(name: string, rounds: readonly Record<ServerName, FioResult>[], goal: number): readonly Figure[] {
  const ratio = (server: ServerName): number =>
    median(rounds.map((each) => each[server].bytesPerSecond / each.nbdkit.bytesPerSecond));
  const of = (server: ServerName, value: (result: FioResult) => number): number =>
    median(rounds.map((each) => value(each[server])));
  const latency = (server: ServerName): readonly Figure[] => [
    { name: `  latency p50, ${server}`, value: of(server, (result) => result.p50Us), unit: "us", goal: undefined },
    { name: `  latency p99, ${server}`, value: of(server, (result) => result.p99Us), unit: "us", goal: undefined },
  ];
  return [
    { name: `${name}, capture on / nbdkit file`, value: ratio("leeward"), unit: "x", goal: atLeast(goal) },
    { name: `  qemu-nbd / nbdkit file`, value: ratio("qemu-nbd"), unit: "x", goal: undefined },
    {
      name: `  nbdkit file`,
      value: of("nbdkit", (result) => result.bytesPerSecond / MIB),
      unit: "MiB/s",
      goal: undefined,
    },
    ...SERVERS.flatMap(latency),
  ];
}

/** Whether demands are met, and the cost of steady churn: memory, processor. */
async function churnFigures(bench: Bench): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  const churn = (service: BenchService, bytesPerSecond: number, seconds: number): Promise<FioResult> =>
    runFio({
      ...SMALL,
      blockBytes: DEMAND_BLOCK_BYTES,
      sizeBytes: DISK_BYTES,
      seconds,
      bytesPerSecond,
      socketPath: service.socketPath,
    });
  await withService(bench, async (service) => {
    for (const demand of DEMANDS_MB) {
      const { bytesPerSecond, p99Us } = await churn(service, demand * 1e6, DEMAND_SECONDS);
      figures.push(
        {
          name: `${demand} MB/s asked for in writes of 16 KiB, got / asked`,
          value: bytesPerSecond / (demand * 1e6),
          unit: "x",
          goal: atLeast(0.99),
        },
        { name: "  latency p99", value: p99Us, unit: "us", goal: undefined },
      );
      await service.idle();
    }
  });
  // A separate service: its peak is that of this churn.
  await withService(bench, async (service) => {
    const before = await service.cpuSeconds();
    const { writtenBytes } = await churn(service, CHURN_BYTES, CHURN_SECONDS);
    await service.idle();
    const cpu = ((await service.cpuSeconds()) - before) / (writtenBytes / GIB);
    figures.push(
      {
        name: `peak resident memory, ${CHURN_BYTES / MIB} MiB/s for ${CHURN_SECONDS} s, epochs of 5 s, worker included`,
        value: (await service.peakResidentBytes()) / MIB,
        unit: "MiB",
        goal: atMost(192),
      },
      { name: "processor time for one GiB of guest writes, until uploaded", value: cpu, unit: "s", goal: undefined },
    );
  });
  return figures;
}

/**
 * The cache is unreachable, returns, and the backlog drains while the guest keeps writing. In bytes of waiting deltas.
 */
async function outageFigures(bench: Bench): Promise<readonly Figure[]> {
  const { cache } = bench;
  return withService(bench, async (service) => {
    const seconds = OUTAGE_SECONDS * 3;
    const load = runFio({
      ...SMALL,
      blockBytes: DEMAND_BLOCK_BYTES,
      sizeBytes: DISK_BYTES,
      seconds,
      bytesPerSecond: OUTAGE_CHURN_BYTES,
      socketPath: service.socketPath,
    });
    load.catch(() => undefined);
    cache.away = true;
    await sleep(OUTAGE_SECONDS * 1000);
    cache.away = false;
    const endMs = performance.now();
    await until("uploading again", PATIENCE, () => Promise.resolve(cache.backMs !== undefined));
    const backMs = cache.backMs ?? endMs;
    const backlogBytes = await service.spoolBytes();
    const arrivalBytesPerSecond = backlogBytes / (OUTAGE_SECONDS + (backMs - endMs) / 1000);
    // One epoch of 5 s may always be in transit.
    await until("drained", PATIENCE, async () => (await service.spoolBytes()) === 0);
    const drainSeconds = (performance.now() - backMs) / 1000;
    await load;
    await service.idle();
    const drained = backlogBytes + arrivalBytesPerSecond * drainSeconds;
    const scaled = `(outage of ${OUTAGE_SECONDS} s, scaled down from ${OUTAGE_SAID_SECONDS} s)`;
    return [
      {
        name: `draining / arriving after an outage of the cache at ${OUTAGE_CHURN_BYTES / MIB} MiB/s ${scaled}`,
        value: drained / drainSeconds / arrivalBytesPerSecond,
        unit: "x",
        goal: atLeast(3),
      },
      { name: "  backlog when the cache came back", value: backlogBytes / MIB, unit: "MiB", goal: undefined },
      { name: "  until the service tried again", value: (backMs - endMs) / 1000, unit: "s", goal: undefined },
      { name: "  until nothing waited any more", value: drainSeconds, unit: "s", goal: undefined },
    ];
  });
}
