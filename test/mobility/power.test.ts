import { describe, expect, it, vi } from "vitest";
import type * as Limits from "../../mobility/limits.ts";
import { createRandom } from "../memory/random.ts";
import { SourceMachine } from "./source-machine.ts";

vi.mock("../../mobility/limits.ts", async (original) => {
  const small = {
    SPOOL_MIN_BYTES: 4096,
    SEED_CHUNK_BYTES: 8192,
  } satisfies Partial<Record<keyof typeof Limits, number>>;
  return { ...(await original<typeof Limits>()), ...small };
});

const SEEDS = Array.from({ length: 8 }, (_, index) => index + 1);

/** A target that has everything. */
async function complete(seed: number): Promise<SourceMachine> {
  const machine = new SourceMachine(createRandom(seed));
  await machine.start();
  await machine.finish();
  return machine;
}

/** The start looks at every sector: what was answered as durable is there. */
async function loseTheRest(machine: SourceMachine, seed: number): Promise<void> {
  machine.die("power");
  await expect(machine.start(), `seed ${seed}`).resolves.toBeUndefined();
}

describe("rule 4: what the guest was told to be durable outlives a power failure", () => {
  it("when its segment has been sealed and removed", async () => {
    for (const seed of SEEDS) {
      const machine = await complete(seed);
      await machine.time.finish(machine.write(0, 0, 8, 7, true));
      machine.cut();
      await machine.until(({ sealer }) => sealer.waiting === 0);
      await expect(loseTheRest(machine, seed)).resolves.toBeUndefined();
    }
  });

  it("when there was no log", async () => {
    for (const seed of SEEDS) {
      const machine = await complete(seed);
      machine.spoolBoundBytes = 1;
      await machine.time.finish(machine.write(0, 0, 8, 7, false));
      await machine.time.finish(machine.flush(0));
      expect(machine.capture.recorder.mode.kind).toBe("tracking");
      await expect(loseTheRest(machine, seed)).resolves.toBeUndefined();
    }
  });

  it("when a killed service had recorded it, and the next one answered for it", async () => {
    for (const seed of SEEDS) {
      const machine = await complete(seed);
      machine.isSealing = false;
      await machine.time.finish(machine.write(0, 0, 8, 7, false));
      machine.cut();
      await machine.time.finish(machine.write(0, 4, 8, 8, false));
      machine.die("kill");
      await machine.start();
      await machine.time.finish(machine.flush(0));
      await expect(loseTheRest(machine, seed)).resolves.toBeUndefined();
    }
  });
});

describe("rule 1: what a power failure left of image and journal", () => {
  it("comes to the target, though each may lack what the other has", async () => {
    for (const seed of SEEDS) {
      const machine = await complete(seed);
      for (let sector = 0; sector < 128; sector += 8)
        await machine.time.finish(machine.write(0, sector, 8, 7 + sector, false));
      await expect(loseTheRest(machine, seed)).resolves.toBeUndefined();
      await expect(machine.finish(), `seed ${seed}`).resolves.toBeUndefined();
    }
  });
});
