import { mkdirSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { RECORD_HEADER_BYTES } from "../../mobility/journal/record.ts";
import { SEGMENT_HEADER_BYTES } from "../../mobility/journal/segment.ts";
import type * as Limits from "../../replication/limits.ts";
import { createRandom } from "../memory/random.ts";
import { BOUNDS, event, EXAMPLES, ROOMS } from "./capture-histories.ts";
import type { Step } from "./capture-histories.ts";
import { createFragileDisk } from "./fragile-disk.ts";
import type { FragileDisk } from "./fragile-disk.ts";
import { SourceMachine } from "./source-machine.ts";
import { temporaryFolder } from "./temporary.ts";

/** Bounds small enough for every one of them to be reached by a few writes. */
vi.mock("../../replication/limits.ts", async (original) => ({
  ...(await original<typeof Limits>()),
  RESUME_LOOK_MS: 1,
  SEED_LOOK_MS: 1,
  BACK_OFF_FIRST_MS: 1,
  BACK_OFF_MAX_MS: 2,
  SPOOL_MIN_BYTES: 4096,
  SEED_CHUNK_BYTES: 8192,
  EPOCH_MAX_DATA_BYTES: 49_152,
  ZERO_RUN_MIN_BYTES: 4096,
  DIRTY_MAP_CACHE_PAGES: 1,
}));

/** CI asks for more: `npm run test:long`. */
const HISTORIES = Number(process.env["LEEWARD_HISTORIES"] ?? 8);

describe("capture through bounds, kills and power failures", () => {
  it("rule 1: every delta without `seeding` is a state of the source, and nothing that the target lacks is ever forgotten", async () => {
    const root = temporaryFolder();
    let run = 0;
    const property = fc.asyncProperty(
      fc.array(event, { maxLength: 40 }),
      fc.integer(),
      fc.integer({ min: 0, max: 3 }),
      async (events, seed, begin) => {
        const disk = createFragileDisk();
        const folder = join(root, String((run += 1)));
        mkdirSync(folder);
        const random = createRandom(seed);
        const machine = new SourceMachine(folder, disk, (limit) => random.below(limit));
        await machine.start();
        const perform = async (step: Step): Promise<void> => {
          switch (step.kind) {
            case "write":
              return machine.write(step.disk, step.sector, step.count, step.fill, step.fua);
            case "flush":
              return machine.flush(step.disk);
            case "cut":
              return machine.cut();
            case "idle":
              return machine.idle(step.count);
            case "upload":
              return machine.upload(step.count);
            case "bound":
              machine.spoolBoundBytes = BOUNDS[step.count] ?? 0;
              return;
            case "resynchronize":
              // Should it fail it is asked for again, as by the control plane.
              return machine.capture.recorder.resynchronize("requested", String(step.count)).catch(() => undefined);
            case "begin-stream":
              // Should it fail it is named again, as by the next heartbeat.
              return machine.capture.beginStream(machine.startOf(step.mints)).catch(() => undefined);
            case "failing-state":
            case "failing-state-late":
              disk.stateFailures = { count: step.count, late: step.kind === "failing-state-late" };
              return;
            case "tight":
              disk.roomBytes = ROOMS[step.count] ?? 0;
              return;
            case "full":
            case "room":
              disk.roomBytes = Number.POSITIVE_INFINITY;
              disk.isFull = step.kind === "full";
              return;
            case "failing-journal":
              disk.failsJournal = true;
              return;
            case "calm":
              return machine.calm();
            case "half-seeded":
              return machine.halfSeeded();
            case "given-up":
              return machine.givenUp();
            case "log-again":
              return machine.logAgain();
          }
        };
        try {
          // Most histories begin with a target that has everything, the others with initial replication.
          if (begin > 0) await machine.finish();
          for (const { step, death, turns } of events) {
            const work = perform(step);
            if (death === "none") {
              await answered(work, step);
              continue;
            }
            work.catch(() => undefined);
            await machine.idle(turns);
            if (death === "kill") machine.kill();
            else machine.crash();
            machine.checkDeltas();
            await machine.start();
          }
          disk.isFull = false;
          disk.roomBytes = Number.POSITIVE_INFINITY;
          disk.failsJournal = false;
          disk.stateFailures = { count: 0, late: false };
          machine.spoolBoundBytes = 1024 * 1024;
          // A journal that failed is trusted again after a restart only.
          machine.kill();
          await machine.start();
          await expect(machine.finish()).resolves.toBeUndefined();
        } finally {
          await machine.stop();
        }
      },
    );
    await fc.assert(property, { numRuns: EXAMPLES.length + HISTORIES, examples: EXAMPLES });
  }, 300_000);
});

describe("an epoch that was given up", () => {
  function machineOn(disk: FragileDisk, below: (limit: number) => number = () => 0): SourceMachine {
    const machine = new SourceMachine(temporaryFolder(), disk, below);
    onTestFinished(() => machine.stop());
    return machine;
  }

  /** Two epochs wait on a disk that has no room for the delta of the first; what the first gives back is enough for the second. */
  async function twoWithoutRoom(): Promise<{ readonly machine: SourceMachine; readonly disk: FragileDisk }> {
    const disk = createFragileDisk();
    const machine = machineOn(disk);
    await machine.start();
    await machine.finish();
    await machine.write(0, 0, 24, 7, false);
    // Just what a segment with one record of one sector takes.
    disk.roomBytes = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 512;
    machine.cut();
    await machine.write(0, 64, 1, 9, false);
    machine.cut();
    return { machine, disk };
  }

  it("rule 1: one behind it, for which its removal made room, is no consistent state of the source", async () => {
    const { machine, disk } = await twoWithoutRoom();
    await machine.givenUp();
    await machine.upload(100);
    machine.checkDeltas();
    disk.roomBytes = Number.POSITIVE_INFINITY;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it.each(["kill", "crash"] as const)("rule 1: nor is it after a %s between the two", async (death) => {
    const { machine, disk } = await twoWithoutRoom();
    await machine.until(({ sealer }) => sealer.waiting === 1);
    machine[death]();
    await machine.start();
    await machine.calm();
    machine.checkDeltas();
    disk.roomBytes = Number.POSITIVE_INFINITY;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("rule 1: the end of a pass that stands behind it ends nothing: part of what the pass read is gone", async () => {
    const disk = createFragileDisk();
    // Disks without a zero.
    const machine = machineOn(disk, (limit) => limit - 1);
    await machine.start();
    // While a delta waits for the network nothing is given up. The bound has room for it, and for no reading.
    machine.spoolBoundBytes = 2000;
    await machine.write(0, 0, 1, 7, false);
    machine.cut();
    await machine.until(({ sealer }) => sealer.waiting === 0);
    disk.isFullForDeltas = true;
    machine.spoolBoundBytes = 1024 * 1024;
    await machine.until(({ seeding }) => seeding.done);
    const { waiting, waitingBytes } = machine.capture.sealer;
    // The last grain of the second disk, which is shorter than the others, was read once like all of them.
    expect(waitingBytes).toBeLessThan(1.1 * machine.capture.seeding.totalBytes);
    expect(waiting).toBeGreaterThan(1);
    await machine.upload(100);
    await machine.until(({ sealer }) => sealer.waiting < waiting);
    disk.isFullForDeltas = false;
    await machine.givenUp();
    await machine.upload(100);
    machine.checkDeltas();
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("leaves no hole in the journal: a restart reads nothing again for it", async () => {
    const disk = createFragileDisk();
    const machine = machineOn(disk);
    await machine.start();
    await machine.finish();
    await machine.write(0, 0, 8, 7, false);
    disk.isFull = true;
    machine.cut();
    await machine.givenUp();
    expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "disk-full" });
    disk.isFull = false;
    await machine.logAgain();
    await machine.write(0, 64, 8, 9, false);
    machine.kill();
    await machine.start();
    expect(machine.readAgain).toBeUndefined();
    await expect(machine.finish()).resolves.toBeUndefined();
  });
});

describe("a sealed segment that a killed service had not removed yet", () => {
  it("is not redone when a power failure brings it back: newer writes are not undone", async () => {
    for (let seed = 1; seed <= 12; seed += 1) {
      const disk = createFragileDisk();
      const random = createRandom(seed);
      const machine = new SourceMachine(temporaryFolder(), disk, (limit) => random.below(limit));
      onTestFinished(() => machine.stop());
      await machine.start();
      await machine.finish();
      const before = machine.state.sealed.epoch;
      await machine.write(0, 0, 4, 7, true);
      machine.cut();
      await machine.write(0, 0, 4, 8, true);
      await machine.until(() => machine.state.sealed.epoch > before);
      expect(machine.capture.sealer.waiting).toBe(1);
      machine.kill();
      await machine.start();
      await machine.until(({ sealer }) => sealer.waiting === 0);
      machine.crash();
      await machine.start();
      await machine.finish();
      await machine.stop();
    }
  }, 30_000);
});

/** The guest waits for the local disk, never for the network: ten seconds mean for ever. */
async function answered(work: Promise<void>, step: Step): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`never answered: ${JSON.stringify(step)}`)), 10_000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
