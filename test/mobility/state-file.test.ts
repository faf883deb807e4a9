import { describe, expect, it, vi } from "vitest";
import { openState, stateFolder } from "../../mobility/capture/open-state.ts";
import { openDisks } from "../../mobility/disks/open-disks.ts";
import { isOfStream, openStateFile, readState, uploadedTo, type ServiceState } from "../../mobility/epochs/state.ts";
import type * as Limits from "../../mobility/limits.ts";
import { JOURNAL_CLOSED_SEGMENTS_MAX, STATE_RESERVE_BYTES } from "../../mobility/limits.ts";
import { type Position, startPosition } from "../../replication/position.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import type { MemoryMedium } from "../memory/memory-medium.ts";
import { createRandom } from "../memory/random.ts";
import { NONCE } from "./replay.ts";
import { SourceMachine } from "./source-machine.ts";

vi.mock("../../mobility/limits.ts", async (original) => {
  const small = {
    SPOOL_MIN_BYTES: 4096,
    SEED_CHUNK_BYTES: 8192,
  } satisfies Partial<Record<keyof typeof Limits, number>>;
  return { ...(await original<typeof Limits>()), ...small };
});

/** A write that fails, and one that says so and took effect. */
const CASES = ["before", "after"] as const;
const START = startPosition("vm1", 1, [], NONCE);
const FIRST: ServiceState = {
  version: 1,
  itemId: "vm1",
  disks: [],
  binding: START.checksum.slice(0, 32),
  start: START,
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
const PATH = "/state/state.json";

function emptyMedium(): MemoryMedium {
  const medium = createMemoryMedium({ random: createRandom(1), schedule: (work) => void setImmediate(work) });
  medium.process().files.makeFolder("/state", 0o700);
  return medium;
}

/** A machine whose target has everything. */
async function complete(seed = 1): Promise<SourceMachine> {
  const machine = new SourceMachine(createRandom(seed));
  await machine.start();
  await machine.finish();
  return machine;
}

describe("the state file", () => {
  it.each(CASES)(
    "shows what is durable for certain, and nothing of a write that failed (%s it took effect)",
    async (when) => {
      const medium = emptyMedium();
      const { files } = medium.process();
      const state = openStateFile(files, PATH, FIRST);
      medium.fail({ operations: ["rename"], path: /state\.json/, code: "EIO", when, times: 2 });
      const first = state.change({ sealedSegment: 1 });
      const second = state.change(({ sealedSegment }) => ({ sealedSequence: sealedSegment + 1 }));
      expect(state.current).toEqual(FIRST);
      await expect(first).rejects.toThrow("EIO");
      await expect(second).rejects.toThrow("EIO");
      expect(state.current).toEqual(FIRST);
      expect(readState(files, PATH)).toMatchObject(
        when === "after" ? { sealedSegment: 1, sealedSequence: 2 } : { sealedSegment: 0 },
      );
      // What failed is not brought along by what comes later.
      await state.change({ lastWriteMs: 7 });
      expect(state.current).toEqual({ ...FIRST, lastWriteMs: 7 });
      expect(readState(files, PATH)).toEqual({ ...FIRST, lastWriteMs: 7 });
    },
  );

  it("calls a function with what the changes before it made, whether they were written before or go with it", async () => {
    const state = openStateFile(emptyMedium().process().files, PATH, FIRST);
    const raise = (): Promise<void> => state.change(({ sealedSegment }) => ({ sealedSegment: sealedSegment + 1 }));
    const first = raise();
    await Promise.resolve();
    await Promise.all([first, raise(), raise()]);
    await raise();
    expect(state.current.sealedSegment).toBe(4);
  });

  it("is written on a full disk too: its reserve makes room", async () => {
    const medium = createMemoryMedium({
      random: createRandom(1),
      schedule: (work) => void setImmediate(work),
      capacityBytes: 2 * STATE_RESERVE_BYTES,
    });
    const { files } = medium.process();
    files.makeFolder("/state", 0o700);
    const state = openStateFile(files, PATH, FIRST);
    const other = files.open("/state/other", "w", 0o600);
    const fill = (): void => {
      for (;;) files.write(other, Buffer.alloc(512), 0, 512, files.statusOf(other).lengthBytes);
    };
    expect(fill).toThrow("ENOSPC");
    await state.change({ lastWriteMs: 7 });
    expect(readState(files, PATH)?.lastWriteMs).toBe(7);
  });

  it("makes its reserve again also when there was no room for it: the next write needs it", async () => {
    const medium = emptyMedium();
    const state = openStateFile(medium.process().files, PATH, FIRST);
    medium.fail({ operations: ["write"], path: /state\.json\.tmp$/, code: "ENOSPC", when: "before", times: 2 });
    await expect(state.change({ lastWriteMs: 7 })).rejects.toThrow("ENOSPC");
    expect(medium.get("/state/reserve")?.length).toBeGreaterThan(0);
  });

  it("rule 6: that is damaged is not believed: the service does not start", async () => {
    const machine = await complete();
    machine.die("kill");
    const bytes = machine.medium.get(PATH) ?? Buffer.alloc(0);
    for (let at = 0; at < bytes.length; at += 7) {
      machine.medium.put(
        PATH,
        bytes.map((byte, index) => (index === at ? byte ^ 1 : byte)),
      );
      await expect(machine.start(), `byte ${at}`).rejects.toMatchObject({ code: "state-corrupt" });
    }
  });

  it("of other disks is not taken: pages of one would be sent as those of another", async () => {
    const machine = await complete();
    machine.die("kill");
    const before = machine.medium.get(PATH);
    const image = machine.medium.get("/b.img") ?? Buffer.alloc(0);
    machine.medium.put("/b.img", Buffer.concat([image, Buffer.alloc(512)]));
    await expect(machine.start()).rejects.toMatchObject({ code: "state-corrupt" });
    expect(machine.medium.get(PATH)).toEqual(before);
    machine.medium.put("/b.img", image);
    await machine.start();
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("takes no delta of another stream for uploaded, nor one that was never sealed", () => {
    const state = { ...FIRST, sealed: { ...START, stream: 2, epoch: 3 } };
    expect(uploadedTo({ ...START, stream: 2, epoch: 3 })(state)).toEqual({
      uploaded: { ...START, stream: 2, epoch: 3 },
    });
    expect(uploadedTo({ ...START, stream: 1, epoch: 3 })(state)).toEqual({});
    expect(uploadedTo({ ...START, stream: 2, epoch: 4 })(state)).toEqual({});
  });

  it("knows a stream by its start, and one of a file of before by what it has of it", () => {
    const medium = emptyMedium();
    const { files } = medium.process();
    const { start: _, ...before } = FIRST;
    openStateFile(files, PATH, before);
    const known = readState(files, PATH);
    expect(known?.start).toBeUndefined();
    expect(known && isOfStream(known, START)).toBe(true);
    expect(isOfStream(before, startPosition("vm1", 1, [], "f".repeat(32)))).toBe(false);
    expect(isOfStream(before, { ...START, stream: 2 })).toBe(false);
    expect(isOfStream(FIRST, START)).toBe(true);
    expect(isOfStream(FIRST, startPosition("vm1", 1, [], "f".repeat(32)))).toBe(false);
  });
});

describe("a state file that cannot be written", () => {
  it.each(CASES)(
    "rule 4: a delta that was sealed meanwhile is uploaded, and in its order (%s it took effect)",
    async (when) => {
      const machine = await complete();
      const before = machine.state.sealed.epoch;
      await machine.time.finish(machine.write(0, 0, 8, 7, false));
      machine.failState(2, when);
      machine.cut();
      await machine.until(({ sealer }) => sealer.waiting === 0);
      await machine.time.finish(machine.write(0, 64, 8, 9, false));
      await expect(machine.finish()).resolves.toBeUndefined();
      expect([...machine.cloud.keys()].length).toBe(before + 2);
    },
  );

  it.each(CASES)(
    "rule 4: the guest goes on when it never can be, and a start finds the delta (%s it took effect)",
    async (when) => {
      const machine = await complete();
      machine.failState(Number.POSITIVE_INFINITY, when);
      for (let sector = 0; sector < 20; sector += 1) {
        await machine.time.finish(machine.write(0, sector, 1, sector + 1, true));
        machine.cut();
      }
      expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "disk-full" });
      expect(machine.capture.log.empty).toBe(false);
      machine.healState();
      machine.die("kill");
      await machine.start();
      await expect(machine.finish()).resolves.toBeUndefined();
    },
  );

  it("the guest does not wait for a sealer that fails later than the guest began to wait", async () => {
    const machine = await complete();
    // What is in use already is written at once.
    await machine.time.finish(machine.write(0, 0, 1, 99, false));
    machine.failState(Number.POSITIVE_INFINITY, "before");
    for (let sector = 0; sector < JOURNAL_CLOSED_SEGMENTS_MAX; sector += 1) {
      await machine.write(0, sector, 1, sector + 1, false);
      machine.cut();
    }
    const { sealer } = machine.capture;
    expect({ waiting: sealer.waiting, failing: sealer.failing }).toEqual({
      waiting: JOURNAL_CLOSED_SEGMENTS_MAX,
      failing: false,
    });
    await machine.time.finish(machine.write(0, 31, 1, 99, false), 1000);
    expect(machine.capture.recorder.mode.kind).toBe("tracking");
  });

  it.each(CASES)(
    "a request to read everything again that could not be taken up changes nothing (%s it took effect)",
    async (when) => {
      const machine = new SourceMachine(createRandom(1));
      await machine.start();
      await machine.halfSeeded();
      machine.failState(2, when);
      await expect(machine.time.finish(machine.capture.recorder.resynchronize("requested", "r1"))).rejects.toThrow(
        "EIO",
      );
      // The pass that ran goes on.
      await machine.finish();
      expect(machine.state.resynchronizationId).toBeUndefined();
      await machine.time.finish(machine.capture.recorder.resynchronize("requested", "r1"));
      await machine.finish();
      expect(machine.state.resynchronizationId).toBe("r1");
    },
  );

  it("a request that was taken up and could not be remembered is obeyed, and obeyed again when it comes again", async () => {
    const machine = await complete();
    const { pass } = machine.state.seed;
    const asked = machine.capture.recorder.resynchronize("requested", "r1");
    await machine.until(() => machine.state.seed.pass > pass);
    machine.failState(2, "before");
    await expect(machine.time.finish(asked)).rejects.toThrow("EIO");
    await machine.finish();
    expect(machine.state).toMatchObject({ isMarkingAll: true, seed: { pass: pass + 1, done: true } });
    await machine.time.finish(machine.capture.recorder.resynchronize("requested", "r1"));
    await machine.finish();
    expect(machine.state).toMatchObject({
      isMarkingAll: false,
      resynchronizationId: "r1",
      seed: { pass: pass + 2, done: true },
    });
  });

  it("everything is read again though the machine died between the flag and the marks", async () => {
    for (let seed = 0; seed < 8; seed += 1) {
      const machine = await complete(seed);
      const { pass } = machine.state.seed;
      const clean = machine.medium.get("/state/dirty-map");
      void machine.capture.recorder.resynchronize("journal-damaged", undefined).catch(() => undefined);
      await machine.until(() => machine.state.seed.pass > pass);
      machine.die("power");
      // Nobody had asked for the marks to be durable yet.
      machine.damage("/state/dirty-map", clean);
      await machine.start();
      expect(machine.capture.map.dirtyBytes).toBe(65_536 + 49_152);
      await expect(machine.finish()).resolves.toBeUndefined();
    }
  });

  it("one damaged segment is read and told once, however often its delta could not be remembered", async () => {
    const machine = await complete();
    const { epoch } = machine.state.sealed;
    const { pass } = machine.state.seed;
    await machine.time.finish(machine.write(0, 0, 8, 7, true));
    await machine.time.finish(machine.write(0, 8, 8, 9, true));
    machine.cut();
    const [path = ""] = machine.medium.paths().filter((each) => each.endsWith(".log"));
    const bytes = machine.medium.get(path) ?? Buffer.alloc(0);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    machine.damage(path, bytes);
    // What the damage asks for takes two writes; the one after it remembers the delta.
    await machine.until(() => machine.state.seed.pass > pass && machine.state.isMarkingAll === false);
    machine.failState(6, "before");
    await machine.until(({ sealer }) => sealer.waiting === 0);
    expect(machine.state.seed.pass).toBe(pass + 1);
    expect(machine.state.sealed.epoch).toBeGreaterThan(epoch);
    machine.die("kill");
    await machine.start();
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("a delta of an attempt that failed in its last step does not stay beside the one that counts", async () => {
    const machine = await complete();
    await machine.time.finish(machine.write(0, 0, 8, 7, false));
    const heal = machine.medium.fail({ operations: ["sync"], path: /\/spool$/, code: "EIO", when: "after" });
    machine.cut();
    await machine.until(({ sealer }) => sealer.failing);
    heal();
    // The next attempt makes another delta: it carries `seeding`.
    await machine.time.finish(machine.capture.recorder.resynchronize("requested", "r1"));
    await machine.until(({ sealer }) => sealer.waiting === 0);
    machine.die("kill");
    await machine.start();
    await expect(machine.finish()).resolves.toBeUndefined();
  });
});

describe("a first start that died before its state file", () => {
  it("leaves nothing that the next one takes for its own: by then there may be another stream", async () => {
    const medium = emptyMedium();
    medium.put("/a.img", Buffer.alloc(65_536, 1));
    const open = async (stream: number) => {
      const { files } = medium.process();
      files.makeFolder("/state/journal", 0o700);
      files.makeFolder("/state/spool", 0o700);
      const disks = openDisks(files, [{ id: "a", path: "/a.img", sectorSizeBytes: 512 }]);
      const descriptions = disks.map(({ description }) => description);
      const register = async (): Promise<Position> => startPosition("vm1", stream, descriptions, NONCE);
      return openState({ files, folder: stateFolder("/state"), itemId: "vm1", disks, bootId: "1", register });
    };
    await open(1);
    medium.process().files.remove(PATH);
    const { map, state } = await open(2);
    expect(state.current.sealed.stream).toBe(2);
    expect(map.dirtyBytes).toBe(65_536);
  });
});
