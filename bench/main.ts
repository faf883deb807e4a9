import { parseArgs } from "node:util";
import { applyFigures, operationFigures, sequentialFigures } from "./applying.ts";
import { startBenchStore } from "./bench-store.ts";
import { figureLine } from "./figure.ts";
import type { Figure } from "./figure.ts";
import { mergingFigures } from "./merging.ts";
import { databaseTrace } from "./trace.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

const { values } = parseArgs({ options: { seed: { type: "string", default: "20261122" } } });
const trace = databaseTrace({ seed: Number(values.seed), durationMs: 600_000, writesPerSecond: 20, diskBytes: GIB });
const disks = [
  { id: "data", sizeBytes: GIB, sectorSizeBytes: 512 },
  { id: "log", sizeBytes: 128 * MIB, sectorSizeBytes: 512 },
] as const;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const section = (title: string, figures: readonly Figure[]): void => {
  print(`\n${title}`);
  for (const figure of figures) print(`  ${figureLine(figure)}`);
};

print(
  `trace: seed ${values.seed}, ${trace.length} writes in 600 s, ${(trace.reduce((sum, write) => sum + write.lengthBytes, 0) / MIB).toFixed(0)} MiB`,
);
section("Merging (independent of the machine)", mergingFigures(trace, disks));

const store = await startBenchStore();
try {
  section("Applying (ratios within this run)", await applyFigures(store, trace, disks, 3));
  section("Sequential content (ratios within this run)", await sequentialFigures(store, 3));
  section("Store operations", await operationFigures(store, trace, disks));
} finally {
  await store.close();
}
