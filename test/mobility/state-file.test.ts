import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { openStateFile, readState } from "../../mobility/epochs/state.ts";
import type { ServiceState } from "../../mobility/epochs/state.ts";
import type * as Limits from "../../replication/limits.ts";
import { JOURNAL_CLOSED_SEGMENTS_MAX } from "../../replication/limits.ts";
import { startPosition } from "../../replication/position.ts";
import { createFragileDisk } from "./fragile-disk.ts";
import type { FragileDisk } from "./fragile-disk.ts";
import { SourceMachine } from "./source-machine.ts";
import { temporaryFolder } from "./temporary.ts";

vi.mock("../../replication/limits.ts", async (original) => ({
  ...(await original<typeof Limits>()),
  RESUME_LOOK_MS: 1,
  SEED_LOOK_MS: 1,
  BACK_OFF_FIRST_MS: 1,
  BACK_OFF_MAX_MS: 2,
  SPOOL_MIN_BYTES: 4096,
  SEED_CHUNK_BYTES: 8192,
}));

const CASES = [
  { when: "before it took effect", late: false },
  { when: "after it took effect", late: true },
] as const;
const START = startPosition("vm1", 1, []);
const FIRST: ServiceState = {
  version: 1,
  itemId: "vm1",
  disks: [],
  binding: START.checksum.slice(0, 32),
  sealed: START,
  sealedSegment: 0,
  sealedSequence: 0,
  lastWriteMs: 0,
  uploaded: START,
  seed: { pass: 1, done: false },
  seedFresh: true,
  bootId: "1",
  clean: false,
};

function machineOn(disk: FragileDisk): SourceMachine {
  const machine = new SourceMachine(temporaryFolder(), disk, (limit) => limit - 1);
  onTestFinished(() => machine.stop());
  return machine;
}

/** A machine whose target has everything, and its disk. */
async function completeMachine(): Promise<{ readonly machine: SourceMachine; readonly disk: FragileDisk }> {
  const disk = createFragileDisk();
  const machine = machineOn(disk);
  await machine.start();
  await machine.finish();
  return { machine, disk };
}

describe("the state file", () => {
  it.each(CASES)("shows what is durable for certain, and nothing of a write that failed $when", async ({ late }) => {
    const disk = createFragileDisk();
    const path = join(temporaryFolder(), "state.json");
    const state = openStateFile(disk.files, path, FIRST);
    disk.stateFailures = { count: 2, late };
    const first = state.change({ sealedSegment: 1 });
    const second = state.change(({ sealedSegment }) => ({ sealedSequence: sealedSegment + 1 }));
    expect(state.current).toEqual(FIRST);
    await expect(first).rejects.toThrow("EIO");
    await expect(second).rejects.toThrow("EIO");
    expect(state.current).toEqual(FIRST);
    expect(readState(disk.files, path)).toMatchObject(late ? { sealedSegment: 1, sealedSequence: 2 } : { sealedSegment: 0 });
    // What failed is not brought along by what comes later.
    await state.change({ lastWriteMs: 7 });
    expect(state.current).toEqual({ ...FIRST, lastWriteMs: 7 });
    expect(readState(disk.files, path)).toEqual({ ...FIRST, lastWriteMs: 7 });
  });

  it("calls a function with what the changes before it made, whether they were written before or go with it", async () => {
    const disk = createFragileDisk();
    const state = openStateFile(disk.files, join(temporaryFolder(), "state.json"), FIRST);
    const raise = (): Promise<void> => state.change(({ sealedSegment }) => ({ sealedSegment: sealedSegment + 1 }));
    const first = raise();
    await Promise.resolve();
    await Promise.all([first, raise(), raise()]);
    await raise();
    expect(state.current.sealedSegment).toBe(4);
  });

  it("makes its reserve again also when there was no room for it: the next write needs it", async () => {
    const disk = createFragileDisk();
    const folder = temporaryFolder();
    const state = openStateFile(disk.files, join(folder, "state.json"), FIRST);
    disk.stateFailures = { count: 2, late: false };
    await expect(state.change({ lastWriteMs: 7 })).rejects.toThrow("EIO");
    expect(readdirSync(folder)).toContain("reserve");
  });
});

describe("a state file that cannot be written", () => {
  it.each(CASES)("rule 4: a delta that was sealed meanwhile is uploaded, and in its order ($when)", async ({ late }) => {
    const { machine, disk } = await completeMachine();
    const before = machine.state.sealed.epoch;
    await machine.write(0, 0, 8, 7, false);
    disk.stateFailures = { count: 2, late };
    machine.cut();
    await machine.until(({ sealer }) => sealer.waiting === 0);
    await machine.write(0, 64, 8, 9, false);
    await expect(machine.finish()).resolves.toBeUndefined();
    expect([...machine.cloud.keys()].length).toBe(before + 2);
  });

  it.each(CASES)("rule 4: a start finds the delta, and the guest goes on, when it never could be ($when)", async ({ late }) => {
    const { machine, disk } = await completeMachine();
    disk.stateFailures = { count: Number.POSITIVE_INFINITY, late };
    for (let sector = 0; sector < 20; sector += 1) {
      await machine.write(0, sector, 1, sector + 1, true);
      machine.cut();
    }
    expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "disk-full" });
    expect(machine.capture.log.empty).toBe(false);
    disk.stateFailures = { count: 0, late };
    machine.kill();
    await machine.start();
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("the guest does not wait for a sealer that fails later than the guest began to wait", async () => {
    const { machine, disk } = await completeMachine();
    disk.stateFailures = { count: Number.POSITIVE_INFINITY, late: false };
    for (let sector = 0; sector < JOURNAL_CLOSED_SEGMENTS_MAX; sector += 1) {
      await machine.write(0, sector, 1, sector + 1, false);
      machine.cut();
    }
    const { sealer } = machine.capture;
    expect({ waiting: sealer.waiting, failing: sealer.failing }).toEqual({ waiting: JOURNAL_CLOSED_SEGMENTS_MAX, failing: false });
    await expect(machine.write(0, 64, 1, 99, false)).resolves.toBeUndefined();
    expect(machine.capture.recorder.mode.kind).toBe("tracking");
  });

  it.each(CASES)("a request to read everything again that could not be taken up changes nothing ($when)", async ({ late }) => {
    const disk = createFragileDisk();
    const machine = machineOn(disk);
    await machine.start();
    await machine.halfSeeded();
    disk.stateFailures = { count: 2, late };
    await expect(machine.capture.recorder.resynchronize("requested", "r1")).rejects.toThrow("EIO");
    // The pass that ran goes on.
    await machine.finish();
    expect(machine.state.resynchronizationId).toBeUndefined();
    await machine.capture.recorder.resynchronize("requested", "r1");
    await machine.finish();
    expect(machine.state.resynchronizationId).toBe("r1");
  });

  it("everything is read again though the machine died between the flag and the marks", async () => {
    const { machine } = await completeMachine();
    const { pass } = machine.state.seed;
    void machine.capture.recorder.resynchronize("journal-damaged", undefined).catch(() => undefined);
    await machine.until(() => machine.state.seed.pass > pass);
    machine.crash();
    await machine.start();
    expect(machine.capture.map.dirtyBytes).toBe(65_536 + 49_152);
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("one damaged segment is read and told once, however often its delta could not be remembered", async () => {
    const { machine, disk } = await completeMachine();
    const { epoch } = machine.state.sealed;
    const { pass } = machine.state.seed;
    await machine.write(0, 0, 8, 7, true);
    await machine.write(0, 8, 8, 9, true);
    disk.isFullForDeltas = true;
    machine.cut();
    const path = machine.segmentPath();
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    writeFileSync(path, bytes);
    // What the damage asks for takes two writes; the one after it remembers the delta.
    let changes = 0;
    const inner = { ...disk.files };
    Object.assign(disk.files, {
      renameLater: async (from: string, to: string) => {
        changes += 1;
        if (changes >= 3 && changes <= 8) throw Object.assign(new Error("EIO"), { code: "EIO" });
        return inner.renameLater(from, to);
      },
    });
    disk.isFullForDeltas = false;
    await machine.until(({ sealer }) => sealer.waiting === 0);
    expect(changes).toBeGreaterThan(8);
    expect(machine.state.seed.pass).toBe(pass + 1);
    expect(machine.state.sealed.epoch).toBeGreaterThan(epoch);
    machine.kill();
    await machine.start();
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("a delta of an attempt that failed in its last step does not stay beside the one that counts", async () => {
    const { machine, disk } = await completeMachine();
    const inner = { ...disk.files };
    const spools = new Set<number>();
    let fails = 1;
    Object.assign(disk.files, {
      open: (path: string, flags: "r", mode?: number) => {
        const file = inner.open(path, flags, mode);
        if (path.endsWith("/spool")) spools.add(file);
        else spools.delete(file);
        return file;
      },
      sync: (file: number) => {
        if (spools.has(file) && (fails -= 1) === 0) throw Object.assign(new Error("EIO"), { code: "EIO" });
        inner.sync(file);
      },
    });
    await machine.write(0, 0, 8, 7, false);
    machine.cut();
    await machine.until(({ sealer }) => sealer.failing);
    // The next attempt makes another delta: it carries `seeding`.
    await machine.capture.recorder.resynchronize("requested", "r1");
    await machine.until(({ sealer }) => sealer.waiting === 0);
    machine.kill();
    await expect(machine.start()).resolves.toBeUndefined();
    await expect(machine.finish()).resolves.toBeUndefined();
  });
});
