import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type * as Limits from "../../replication/limits.ts";
import type { MediumOptions } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";
import { BOUNDS, end, event, EXAMPLES, ROOMS } from "./capture-histories.ts";
import type { End, Event, Step } from "./capture-histories.ts";
import { SourceMachine } from "./source-machine.ts";

/** Bounds small enough for every one of them to be reached by a few writes. */
vi.mock("../../replication/limits.ts", async (original) => ({
  ...(await original<typeof Limits>()),
  SPOOL_MIN_BYTES: 4096,
  SEED_CHUNK_BYTES: 8192,
  EPOCH_MAX_DATA_BYTES: 49_152,
  ZERO_RUN_MIN_BYTES: 4096,
  DIRTY_MAP_CACHE_PAGES: 1,
}));

/** CI asks for more: `npm run test:long`. */
const HISTORIES = Number(process.env["LEEWARD_HISTORIES"] ?? 100);

function perform(machine: SourceMachine, step: Step): Promise<void> {
  switch (step.kind) {
    case "write":
      return machine.write(step.disk, step.sector, step.count, step.fill, step.fua);
    case "flush":
      return machine.flush(step.disk);
    case "idle":
      return machine.idle(step.count);
    case "upload":
      return machine.upload(step.count);
    case "resynchronize":
      // Should it fail it is asked for again.
      return machine.capture.recorder.resynchronize("requested", String(step.count)).catch(() => undefined);
    case "begin-stream":
      return machine.capture.beginStream(machine.startOf(step.mints)).catch(() => undefined);
    case "tight":
      machine.room.bytes = ROOMS[step.count] ?? 0;
      return Promise.resolve();
    case "failing-state":
    case "failing-state-late":
      machine.failState(step.count, step.kind === "failing-state" ? "before" : "after");
      return Promise.resolve();
    case "calm":
      return machine.calm();
    case "half-seeded":
      return machine.halfSeeded();
    case "given-up":
      return machine.givenUp();
    case "log-again":
      return machine.logAgain();
    case "stop":
      return Promise.resolve();
    case "cut":
      machine.cut();
      return Promise.resolve();
    case "bound":
      machine.spoolBoundBytes = BOUNDS[step.count] ?? 0;
      return Promise.resolve();
    case "full":
    case "room":
      machine.room.bytes = Number.POSITIVE_INFINITY;
      machine.isFull = step.kind === "full";
      return Promise.resolve();
    case "failing-journal":
      machine.failJournal();
      return Promise.resolve();
  }
}

/** Begins the step, and ends the machine as the event says. */
async function live(machine: SourceMachine, { step, end, startEnd }: Event): Promise<void> {
  // What the step waits for and what the machine does beside it share the steps of time.
  const work = async (): Promise<void> => perform(machine, step);
  if (step.kind === "stop") {
    await machine.stop(step.reboot);
    machine.healState();
    return machine.start();
  }
  if (end === undefined) return machine.time.finish(work());
  if (end.after === "operations") await machine.dieAfter(end.count, end.death, work);
  else {
    work().catch(() => undefined);
    await machine.idle(end.count);
    machine.die(end.death);
  }
  machine.checkDeltas();
  machine.healJournal();
  machine.healState();
  await startAgain(machine, startEnd);
}

/** Starts the service; one that dies at its start is started again. */
async function startAgain(machine: SourceMachine, end: End | undefined): Promise<void> {
  if (end !== undefined) await machine.start({ operations: end.count, death: end.death });
  if (!machine.isAlive) await machine.start();
}

describe("capture through bounds, kills and power failures", () => {
  it("rule 1: every delta without `seeding` is a state of the source, and nothing that the target lacks is ever forgotten", async () => {
    const property = fc.asyncProperty(
      fc.array(event, { maxLength: 40 }),
      fc.integer(),
      fc.integer({ min: 0, max: 3 }),
      fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, end),
      async (events, seed, begin, firstEnd) => {
        const machine = new SourceMachine(createRandom(seed));
        await startAgain(machine, firstEnd);
        // Most histories begin with a target that has everything, the others with initial replication.
        if (begin > 0) await machine.finish();
        for (const each of events) await live(machine, each);
        machine.isFull = false;
        machine.room.bytes = Number.POSITIVE_INFINITY;
        machine.healJournal();
        machine.healState();
        machine.spoolBoundBytes = 1024 * 1024;
        // A journal that failed is trusted again after a restart only.
        machine.die("kill");
        await machine.start();
        await expect(machine.finish()).resolves.toBeUndefined();
      },
    );
    await fc.assert(property, {
      numRuns: EXAMPLES.length + HISTORIES,
      examples: EXAMPLES,
      endOnFailure: process.env["FAST"] !== undefined,
    });
  }, 900_000);
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
  it.each(Object.entries(damages))("a segment that %s before others is found, and everything is read again", async (_, damage) => {
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
  });

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
    await machine.finish();
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

  it("takes nothing that lay on the medium before for a record of its own", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const machine = await complete(seed, { staleChance: 1 });
      // Eight records of one sector end where a sector of the segment ends. The ones behind them are of the same length.
      for (let sector = 0; sector < 16; sector += 1) await written(machine, 0, sector % 8, 1, 10 + sector);
      await machine.finish();
      for (let sector = 0; sector < 8; sector += 1) await written(machine, 0, sector, 1, 50 + sector);
      await machine.time.finish(machine.flush(0));
      for (let sector = 0; sector < 8; sector += 1) await written(machine, 0, 8 + sector, 1, 60 + sector);
      machine.die("power");
      await machine.start();
    }
  });
});
