import { describe, expect, it, vi } from "vitest";
import type * as Limits from "../../replication/limits.ts";
import { SEED_SPOOL_MAX_DELTAS } from "../../mobility/limits.ts";
import { createRandom } from "../memory/random.ts";
import { SourceMachine } from "./source-machine.ts";

vi.mock("../../replication/limits.ts", async (original) => ({
  ...(await original<typeof Limits>()),
  SPOOL_MIN_BYTES: 4096,
  SEED_CHUNK_BYTES: 8192,
  EPOCH_MAX_DATA_BYTES: 16_384,
  SEED_SPOOL_MAX_DELTAS: 2,
  ZERO_RUN_MIN_BYTES: 4096,
}));

const SEEDS = Array.from({ length: 6 }, (_, index) => index + 1);
const WIDE_BYTES = 1024 * 1024;

async function started(seed: number): Promise<SourceMachine> {
  const machine = new SourceMachine(createRandom(seed));
  await machine.start();
  return machine;
}

/** A target that has everything. */
async function complete(seed: number): Promise<SourceMachine> {
  const machine = await started(seed);
  await machine.finish();
  return machine;
}

describe("what is read of the disks", () => {
  it("rule 1: never undoes what the guest writes beside it", async () => {
    for (const seed of SEEDS) {
      const random = createRandom(seed);
      const machine = await started(seed);
      while (!machine.capture.seeding.done) {
        // Into what is being read, or read next.
        const sector = machine.capture.seeding.doneBytes / 512 + random.below(16);
        const [disk, at] = sector < 128 ? [0, sector] : [1, sector - 128];
        await machine.time.finish(machine.write(disk, at, 1 + random.below(4), random.below(256), false));
        await machine.idle(1);
        await machine.time.finish(machine.upload(1));
      }
      await expect(machine.finish(), `seed ${seed}`).resolves.toBeUndefined();
    }
  });

  it("rule 4: is dirty until its delta is sealed: a power failure before takes it from the log", async () => {
    for (const seed of SEEDS) {
      const machine = await started(seed);
      machine.isSealing = false;
      await machine.halfSeeded();
      await machine.time.finish(machine.capture.map.sync());
      machine.die("power");
      // Nobody asked for it to be durable: all of the log may be gone.
      for (const path of machine.medium.paths()) if (path.endsWith(".log")) machine.damage(path, undefined);
      machine.isSealing = true;
      await machine.start();
      await expect(machine.finish(), `seed ${seed}`).resolves.toBeUndefined();
    }
  });

  it("rule 1: comes with its zeros when the target may hold something else", async () => {
    const machine = await complete(1);
    await machine.time.finish(machine.write(0, 0, 64, 7, false));
    await machine.finish();
    machine.spoolBoundBytes = 1;
    await machine.time.finish(machine.write(1, 0, 1, 7, false));
    await machine.time.finish(machine.write(0, 0, 64, 0, false));
    expect(machine.capture.recorder.mode.kind).toBe("tracking");
    machine.spoolBoundBytes = WIDE_BYTES;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("rule 4: has all that was written while there was no log", async () => {
    for (const seed of SEEDS) {
      const machine = await complete(seed);
      machine.spoolBoundBytes = 1;
      await machine.time.finish(machine.write(0, 0, 1, 7, false));
      await machine.time.finish(machine.write(1, 40, 20, 8, false));
      machine.spoolBoundBytes = WIDE_BYTES;
      await expect(machine.finish(), `seed ${seed}`).resolves.toBeUndefined();
    }
  });

  it("rule 9: waits while deltas wait for their upload: the room is the guest's", async () => {
    const machine = await complete(1);
    for (let count = 0; count < SEED_SPOOL_MAX_DELTAS; count += 1) {
      await machine.time.finish(machine.write(0, count, 1, 7, false));
      machine.cut();
      await machine.until(({ sealer }) => sealer.waiting === 0);
    }
    await machine.time.finish(machine.capture.recorder.resynchronize("requested", "once"));
    await machine.idle(300);
    expect(machine.capture.seeding).toMatchObject({ done: false, doneBytes: 0 });
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("does not end with an older pass whose last delta is being sealed", async () => {
    for (let steps = 0; steps < 16; steps += 1) {
      const machine = await started(1);
      while (!machine.capture.seeding.done) {
        await machine.time.step();
        await machine.time.finish(machine.upload(1));
      }
      // From the sealing of the last but one on: the last is sealed while the request is being written.
      await machine.until(({ sealer }) => sealer.waiting <= 2);
      await machine.idle(steps);
      const asked = machine.capture.recorder.resynchronize("requested", "once");
      await machine.until(() => machine.state.seed.pass > 1);
      while (!machine.capture.seeding.done) {
        expect(machine.state.seed.done, `after ${steps} steps`).toBe(false);
        await machine.time.step();
        await machine.time.finish(machine.upload(1));
      }
      await machine.time.finish(asked);
      await expect(machine.finish()).resolves.toBeUndefined();
    }
  });
});
