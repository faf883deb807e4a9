import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { sequentialFigures, traceFigures } from "./apply-figures.ts";
import { startBenchStore } from "./bench-store.ts";
import { captureFigures } from "./capture-figures.ts";
import { durableFigures } from "./durable-figures.ts";
import { ext4Figures } from "./ext4-figures.ts";
import { failoverFigures } from "./failover-figures.ts";
import { figureLine, type Figure } from "./figure.ts";
import { mergingFigures } from "./merging-figures.ts";
import { operationFigures } from "./operation-figures.ts";
import { rpoFigures } from "./rpo.ts";
import { startFigures } from "./start-figures.ts";
import { databaseTrace } from "./trace.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const ROUNDS = 3;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "20261122" },
    "no-rpo": { type: "boolean", default: false },
    "no-failover": { type: "boolean", default: false },
    "no-capture": { type: "boolean", default: false },
  },
});
const seed = Number(values.seed);
const trace = databaseTrace({ seed, durationMs: 600_000, writesPerSecond: 20, diskBytes: GIB });
const disks = [
  { id: "data", sizeBytes: GIB, sectorSizeBytes: 512 },
  { id: "log", sizeBytes: 128 * MIB, sectorSizeBytes: 512 },
] as const;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const all: Figure[] = [];
const section = (title: string, figures: readonly Figure[]): void => {
  print(`\n${title} (after ${Math.round(performance.now() / 1000)} s)`);
  for (const figure of figures) print(`  ${figureLine(figure)}`);
  all.push(...figures);
};

print(
  `trace: seed ${seed}, ${trace.length} writes in 600 s, ${(trace.reduce((sum, write) => sum + write.lengthBytes, 0) / MIB).toFixed(0)} MiB`,
);
section("Merging (independent of the machine)", mergingFigures(trace, disks));
const ext4 = await ext4Figures(seed);
if (ext4.kind === "figures") section("A real file system (independent of the machine)", ext4.figures);
else print(`\nA real file system: no figure, because this machine lacks ${ext4.tools.join(", ")} (package e2fsprogs).`);

section("Starting the function app (medians of differences)", await startFigures());

section("Durable Functions: the engine of the local host (medians of three rounds)", await durableFigures());

const store = await startBenchStore();
try {
  section("Store operations", await operationFigures(store, trace, disks));
  section("Applying (medians of ratios within a round)", await traceFigures(store.stores, trace, disks, ROUNDS));
  section("Sequential content (medians of ratios within a round)", await sequentialFigures(store.stores, ROUNDS));
} finally {
  await store.close();
}

if (values["no-capture"]) print("\nCapturing: left out (--no-capture).");
else {
  const capture = await captureFigures(ROUNDS);
  if (capture.kind === "figures")
    section(`Capturing, ${capture.place} (medians of ratios within a round)`, capture.figures);
  else
    print(
      `\nCapturing: no figure, because this machine lacks ${capture.tools.join(", ")} (packages fio, nbdkit, qemu-utils).`,
    );
}

if (values["no-failover"]) print("\nFailover: left out (--no-failover).");
else
  section(
    "Failover: the whole product on the local cloud, Resource Manager without delays of its own",
    await failoverFigures(seed),
  );

if (values["no-rpo"]) print("\nRecovery point objective: left out (--no-rpo).");
else section("Recovery point objective: the whole product on the local cloud", await rpoFigures(seed));

print(`\nFigures with a goal (${availableParallelism()} processors, ${Math.round(performance.now() / 1000)} s)`);
for (const figure of all.filter(({ goal }) => goal !== undefined)) print(`  ${figureLine(figure)}`);
