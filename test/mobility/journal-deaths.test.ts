import { describe, expect, it, vi } from "vitest";
import type * as Limits from "../../mobility/limits.ts";
import type { MediumOptions } from "../memory/memory-medium.ts";
import { createRandom } from "../memory/random.ts";
import { missing } from "../missing.ts";
import { SourceMachine } from "./source-machine.ts";

/** Bounds small enough for every one of them to be reached by a few writes. */
vi.mock("../../mobility/limits.ts", async (original) => {
  const small = {
    SPOOL_MIN_BYTES: 4096,
    SEED_CHUNK_BYTES: 8192,
    EPOCH_MAX_DATA_BYTES: 49_152,
    ZERO_RUN_MIN_BYTES: 4096,
    DIRTY_MAP_CACHE_PAGES: 1,
  } satisfies Partial<Record<keyof typeof Limits, number>>;
  return { ...(await original<typeof Limits>()), ...small };
});

/** A target that has everything, and room and luck as given. */
async function complete(seed: number, options: Pick<MediumOptions, "staleChance"> = {}): Promise<SourceMachine> {
  const machine = new SourceMachine(createRandom(seed), options);
  await machine.start();
  await machine.finish();
  return machine;
}
const written = (machine: SourceMachine, disk: number, sector: number, count: number, fill: number): Promise<void> =>
  machine.time.finish(machine.write(disk, sector, count, fill, false));

describe("the journal after a death", () => {
  it("has no hole where an epoch was given up: a restart reads nothing again for it", async () => {
    const machine = await complete(1);
    await written(machine, 0, 0, 8, 7);
    machine.isFull = true;
    machine.cut();
    await machine.givenUp();
    expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "disk-full" });
    machine.isFull = false;
    await machine.logAgain();
    await written(machine, 0, 64, 8, 9);
    machine.die("kill");
    await machine.start();
    expect(machine.readAgain).toBeUndefined();
    await machine.finish();
  });

  it("has nothing left of a record that found room for a part of itself only", async () => {
    const machine = await complete(1);
    // The segment is made, and takes 11 of 12 KiB.
    machine.medium.capacityBytes = machine.medium.usedBytes + 11 * 1024;
    await written(machine, 0, 0, 24, 7);
    expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "disk-full" });
    machine.medium.capacityBytes = Number.MAX_SAFE_INTEGER;
    await machine.logAgain();
    // The segment that was begun then takes 8 KiB now, and is not the last one when the process dies.
    machine.isSealing = false;
    const { capture } = machine;
    await machine.time.until(() => capture.seeding.doneBytes > 0);
    machine.cut();
    await written(machine, 0, 100, 1, 9);
    expect(capture.sealer.waiting).toBe(1);
    machine.die("kill");
    machine.isSealing = true;
    await machine.start();
    expect(machine.readAgain).toBeUndefined();
    await machine.finish();
  });

  const damages: Readonly<Record<string, (bytes: Buffer) => Buffer | undefined>> = {
    "is missing": () => undefined,
    "is cut off": (bytes) => bytes.subarray(0, bytes.length - 100),
    "is damaged": (bytes) => Buffer.concat([bytes.subarray(0, 300), Buffer.alloc(1, 0xff), bytes.subarray(301)]),
  };
  it.each(Object.entries(damages))(
    "a segment that %s before others is found, and everything is read again",
    async (_, damage) => {
      const machine = await complete(1);
      machine.isSealing = false;
      for (const [sector, fill] of [3, 5, 7].entries()) {
        await written(machine, 0, 8 * sector, 4, fill);
        machine.cut();
      }
      machine.die("kill");
      machine.isSealing = true;
      const [first = ""] = machine.medium.paths().filter((path) => path.endsWith(".log"));
      const bytes = damage(machine.medium.get(first) ?? Buffer.alloc(0));
      machine.damage(first, bytes);
      await machine.start();
      expect(machine.readAgain).toBe("journal-damaged");
      await machine.finish();
    },
  );

  it("redoes no older segment that a power failure shows under the name of a new one", async () => {
    const machine = await complete(1);
    const segment = (): string => machine.medium.paths().find((path) => path.endsWith(".log")) ?? "";
    await written(machine, 0, 0, 8, 10);
    const old = machine.medium.get(segment());
    await machine.finish();
    await written(machine, 0, 0, 8, 20);
    await machine.time.finish(machine.flush(0));
    await machine.finish();
    await written(machine, 0, 64, 8, 30);
    const path = segment();
    machine.die("power");
    machine.damage(path, old);
    await machine.start();
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("does not take the end of a log that failed for damage, once there is another log", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const machine = await complete(seed);
      machine.isSealing = false;
      await written(machine, 0, 0, 8, 10);
      machine.failJournal();
      await machine.time.finish(machine.flush(0));
      expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "journal-failed" });
      machine.die("power");
      machine.isSealing = true;
      await machine.start();
      await machine.logAgain();
      machine.isSealing = false;
      await written(machine, 0, 64, 1, 11);
      machine.die("kill");
      machine.isSealing = true;
      await machine.start();
      expect(machine.readAgain).toBeUndefined();
      await machine.finish();
    }
  });

  it("a tail that a power failure tore is gone when there are other segments", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const machine = await complete(seed);
      machine.isSealing = false;
      await written(machine, 0, 0, 8, 7);
      await machine.time.finish(machine.flush(0));
      await written(machine, 0, 8, 24, 8);
      machine.die("power");
      await machine.start();
      await written(machine, 1, 0, 8, 9);
      machine.die("kill");
      machine.isSealing = true;
      await machine.start();
      expect(machine.readAgain).toBeUndefined();
      await machine.finish();
    }
  });

  it("ends where an older segment lies behind its last record, though that one's records are whole and of the same length", async () => {
    const machine = await complete(1);
    const segment = (): string => machine.medium.paths().find((path) => path.endsWith(".log")) ?? "";
    for (let sector = 0; sector < 16; sector += 1) await written(machine, 0, sector % 8, 1, 10 + sector);
    const old = machine.medium.get(segment()) ?? missing();
    await machine.finish();
    for (let sector = 0; sector < 8; sector += 1) await written(machine, 0, sector, 1, 50 + sector);
    await machine.time.finish(machine.flush(0));
    const path = segment();
    const durable = machine.medium.get(path) ?? missing();
    expect(durable.length).toBeLessThan(old.length);
    machine.die("power");
    machine.damage(path, Buffer.concat([durable, old.subarray(durable.length)]));
    await machine.start();
    await machine.finish();
  });

  it("takes nothing that lay on the medium before for a record of its own", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const machine = await complete(seed, { staleChance: 1 });
      // Eight records of one sector end where a sector of the segment ends. The ones behind them are of the same
      // length.
      for (let sector = 0; sector < 16; sector += 1) await written(machine, 0, sector % 8, 1, 10 + sector);
      await machine.finish();
      for (let sector = 0; sector < 8; sector += 1) await written(machine, 0, sector, 1, 50 + sector);
      await machine.time.finish(machine.flush(0));
      for (let sector = 0; sector < 8; sector += 1) await written(machine, 0, 8 + sector, 1, 60 + sector);
      machine.die("power");
      await expect(machine.start()).resolves.toBeUndefined();
    }
  });
});
