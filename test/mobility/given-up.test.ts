import { describe, expect, it, vi } from "vitest";
import { RECORD_HEADER_BYTES } from "../../mobility/journal/record.ts";
import { SEGMENT_HEADER_BYTES } from "../../mobility/journal/segment.ts";
import type * as Limits from "../../mobility/limits.ts";
import { createRandom } from "../memory/random.ts";
import { SourceMachine } from "./source-machine.ts";

vi.mock("../../mobility/limits.ts", async (original) => {
  const small = {
    SPOOL_MIN_BYTES: 4096,
    SEED_CHUNK_BYTES: 8192,
    EPOCH_MAX_DATA_BYTES: 49_152,
  } satisfies Partial<Record<keyof typeof Limits, number>>;
  return { ...(await original<typeof Limits>()), ...small };
});

/** A target that has everything. */
async function complete(seed: number): Promise<SourceMachine> {
  const machine = new SourceMachine(createRandom(seed));
  await machine.start();
  await machine.finish();
  return machine;
}

/**
 * Two epochs wait on a disk that has no room for the delta of the first; what the first gives back is enough for the
 * second.
 */
async function twoWithoutRoom(seed: number): Promise<SourceMachine> {
  const machine = await complete(seed);
  await machine.time.finish(machine.write(0, 0, 24, 7, false));
  // Just what a segment with one record of one sector takes.
  machine.room.bytes = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 512;
  machine.cut();
  await machine.time.finish(machine.write(0, 64, 1, 9, false));
  machine.cut();
  return machine;
}

describe("an epoch that was given up", () => {
  it("rule 1: one behind it, for which its removal made room, is no consistent state of the source", async () => {
    for (let seed = 0; seed < 8; seed += 1) {
      const machine = await twoWithoutRoom(seed);
      await machine.givenUp();
      await machine.time.finish(machine.upload(100));
      machine.checkDeltas();
      machine.room.bytes = Number.POSITIVE_INFINITY;
      await expect(machine.finish()).resolves.toBeUndefined();
    }
  });

  it.each(["kill", "power"] as const)("rule 1: nor is it after a death between the two (%s)", async (death) => {
    for (let seed = 0; seed < 8; seed += 1) {
      const machine = await twoWithoutRoom(seed);
      await machine.until(({ sealer }) => sealer.waiting === 1);
      machine.die(death);
      await machine.start();
      await machine.time.finish(machine.calm());
      machine.checkDeltas();
      machine.room.bytes = Number.POSITIVE_INFINITY;
      await expect(machine.finish()).resolves.toBeUndefined();
    }
  });

  it("has no other way: while deltas wait for their upload nothing is given up", async () => {
    const machine = await complete(1);
    await machine.time.finish(machine.write(0, 0, 1, 7, false));
    machine.cut();
    await machine.until(({ sealer }) => sealer.waiting === 0);
    machine.isFullForDeltas = true;
    await machine.time.finish(machine.write(0, 1, 1, 8, false));
    machine.cut();
    await machine.idle(2000);
    expect(machine.capture.sealer.waiting).toBe(1);
    expect(machine.capture.recorder.mode.kind).toBe("logging");
    machine.isFullForDeltas = false;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("rule 4: and that is damaged has everything read again: nobody knows what the rest of it held", async () => {
    const machine = await complete(1);
    // What is in use already is written at once: the second time both are in one segment.
    for (const fill of [5, 7]) {
      await machine.finish();
      await machine.time.finish(machine.write(0, 0, 1, fill, false));
      await machine.time.finish(machine.write(1, 64, 1, fill, true));
    }
    expect(machine.names("journal")).toHaveLength(1);
    machine.isFullForDeltas = true;
    machine.cut();
    const path = `/state/journal/${machine.names("journal")[0]}`;
    const bytes = machine.medium.get(path) ?? Buffer.alloc(0);
    // The last byte of the second record.
    machine.medium.put(
      path,
      bytes.map((byte, index) => (index === bytes.length - 1 ? byte ^ 1 : byte)),
    );
    await machine.givenUp();
    expect(machine.capture.log.empty).toBe(true);
    machine.isFullForDeltas = false;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("rule 1: the end of a pass that stands behind it ends nothing: part of what the pass read is gone", async () => {
    const machine = new SourceMachine(createRandom(1));
    await machine.start();
    // While a delta waits for the network nothing is given up. The bound has room for it, and for no reading.
    machine.spoolBoundBytes = 2000;
    await machine.time.finish(machine.write(0, 0, 1, 7, false));
    machine.cut();
    await machine.until(({ sealer }) => sealer.waiting === 0);
    machine.isFullForDeltas = true;
    machine.spoolBoundBytes = 1024 * 1024;
    await machine.until(({ seeding }) => seeding.done);
    const { waiting, waitingBytes } = machine.capture.sealer;
    // The last grain of the second disk, which is shorter than the others, was read once like all of them.
    expect(waitingBytes).toBeLessThan(1.1 * machine.capture.seeding.totalBytes);
    expect(waiting).toBeGreaterThan(1);
    await machine.time.finish(machine.upload(100));
    await machine.until(({ sealer }) => sealer.waiting < waiting);
    machine.isFullForDeltas = false;
    await machine.givenUp();
    await machine.time.finish(machine.upload(100));
    machine.checkDeltas();
    await expect(machine.finish()).resolves.toBeUndefined();
  });
});

describe("what was written while there was no log", () => {
  it("rule 1: is missing until it was read: a delta that is sealed before is no consistent state of the source", async () => {
    for (let seed = 0; seed < 8; seed += 1) {
      const machine = await complete(seed);
      machine.spoolBoundBytes = 1;
      for (let sector = 0; sector < 128; sector += 32)
        await machine.time.finish(machine.write(0, sector, 32, 7, false));
      await machine.time.finish(machine.write(1, 0, 1, 8, false));
      expect(machine.capture.recorder.mode.kind).toBe("tracking");
      machine.spoolBoundBytes = 1024 * 1024;
      await machine.logAgain();
      const { epoch } = machine.state.sealed;
      // In the same turn, before anything was read.
      const written = machine.write(1, 0, 1, 9, false);
      machine.cut();
      await machine.time.finish(written);
      await machine.until(() => machine.state.sealed.epoch > epoch);
      await machine.time.finish(machine.upload(100));
      machine.checkDeltas();
      await expect(machine.finish()).resolves.toBeUndefined();
    }
  });
});

describe("a sealed segment that a killed service had not removed yet", () => {
  it("is not redone when a power failure brings it back: newer writes are not undone", async () => {
    for (let seed = 1; seed <= 24; seed += 1) {
      const machine = await complete(seed);
      const { epoch } = machine.state.sealed;
      await machine.time.finish(machine.write(0, 0, 4, 7, true));
      machine.cut();
      await machine.time.finish(machine.write(0, 0, 4, 8, true));
      await machine.until(() => machine.state.sealed.epoch > epoch);
      expect(machine.capture.sealer.waiting).toBe(1);
      machine.die("kill");
      await machine.start();
      await machine.until(({ sealer }) => sealer.waiting === 0);
      machine.die("power");
      await machine.start();
      await machine.finish();
    }
  });
});
