import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDurableApp, type DurableApp } from "@leeward/azure-local/functions-host/durable";
import { forEachConcurrently } from "../replication/concurrency.ts";
import type { Figure } from "./figure.ts";
import { median } from "./statistics.ts";

const ROUNDS = 3;
const WARM_UP = 200;
const AT_ONCE = 50;
type DurableEngine = Awaited<ReturnType<DurableApp["openEngine"]>>;

/**
 * Orchestrations of the real SDK through the host's function calls, on the engine itself: no HTTP, no logging, each
 * instance purged when it has ended. The state is in a SQLite file, as in the local cloud, or in memory.
 */
export async function durableFigures(): Promise<readonly Figure[]> {
  const app = await loadDurableApp(() => import("./durable-app.ts"));
  const { SEQUENCE, FAN_OUT, FAN_OUT_WIDTH } = await import("./durable-app.ts");
  const folder = await mkdtemp(join(tmpdir(), "leeward-durable-"));
  try {
    const file = (name: string) => join(folder, `${name}.sqlite`);
    const many: Rate[] = [];
    const [ratio, single, fan]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      const sqlite = await rate(app, file(`many${round}`), SEQUENCE, 1_000, AT_ONCE);
      const memory = await rate(app, undefined, SEQUENCE, 1_000, AT_ONCE);
      many.push(sqlite);
      ratio.push(sqlite.perProcessorSecond / memory.perProcessorSecond);
      single.push((await rate(app, file(`single${round}`), SEQUENCE, 200, 1)).perSecond);
      fan.push(FAN_OUT_WIDTH * (await rate(app, file(`fan${round}`), FAN_OUT, 100, 10)).perSecond);
    }
    const perSecond = (name: string, values: readonly number[], goal?: Figure["goal"]): Figure => ({
      name,
      value: median(values),
      unit: "/s",
      goal,
    });
    return [
      perSecond(
        `two-activity orchestrations on SQLite, ${AT_ONCE} at once`,
        many.map((rate) => rate.perSecond),
        { kind: "at-least", bound: 800 },
      ),
      perSecond(
        "the same by processor time: what a machine without other work reaches at most",
        many.map((rate) => rate.perProcessorSecond),
      ),
      { name: "the same, in relation to a store in memory", value: median(ratio), unit: "x", goal: undefined },
      perSecond("two-activity orchestrations on SQLite, one at a time", single),
      perSecond(`activities of fan-outs over ${FAN_OUT_WIDTH} on SQLite, 10 at once`, fan),
    ];
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Orchestrations, by wall-clock time and by this process's processor time. */
interface Rate {
  readonly perSecond: number;
  readonly perProcessorSecond: number;
}

async function rate(
  app: DurableApp,
  file: string | undefined,
  name: string,
  count: number,
  atOnce: number,
): Promise<Rate> {
  const engine = await app.openEngine(file);
  try {
    await runMany(engine, name, Math.min(WARM_UP, count), atOnce);
    const startedMs = performance.now();
    const startedUsage = process.cpuUsage();
    await runMany(engine, name, count, atOnce);
    const usage = process.cpuUsage(startedUsage);
    return {
      perSecond: (count * 1000) / (performance.now() - startedMs),
      perProcessorSecond: (count * 1_000_000) / (usage.user + usage.system),
    };
  } finally {
    await engine.stop();
  }
}

async function runMany(engine: DurableEngine, name: string, count: number, atOnce: number): Promise<void> {
  const ids = Array.from({ length: count }, () => randomUUID());
  await forEachConcurrently(atOnce, ids, async (instanceId) => {
    await engine.create({ name, instanceId, input: "1", version: "" });
    await engine.ended(instanceId, 60_000);
    if (engine.find(instanceId)?.status !== "Completed")
      throw new Error(`Orchestration ${instanceId} did not complete.`);
    await engine.purge([instanceId]);
  });
}
