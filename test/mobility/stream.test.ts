import { describe, expect, it, onTestFinished, vi } from "vitest";
import type * as Limits from "../../replication/limits.ts";
import { createRandom } from "../memory/random.ts";
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

/** Two deltas in the spool, a closed segment that has no room to be sealed, and an open one. */
async function busyMachine(seed = 1): Promise<{ readonly machine: SourceMachine; readonly disk: FragileDisk }> {
  const disk = createFragileDisk();
  const random = createRandom(seed);
  const machine = new SourceMachine(temporaryFolder(), disk, (limit) => random.below(limit));
  onTestFinished(() => machine.stop());
  await machine.start();
  await machine.finish();
  for (const sector of [0, 8]) {
    await machine.write(0, sector, 4, 7, false);
    machine.cut();
    await machine.until(({ sealer }) => sealer.waiting === 0);
  }
  disk.isFullForDeltas = true;
  await machine.write(1, 0, 4, 8, false);
  machine.cut();
  await machine.write(1, 8, 4, 9, true);
  return { machine, disk };
}

describe("another stream", () => {
  it("begins with initial replication while the guest goes on, and takes what the old one had not sent with it", async () => {
    const { machine, disk } = await busyMachine();
    expect(machine.names("spool")).toHaveLength(2);
    const start = machine.startOf(true);
    const begun = machine.capture.beginStream(start);
    await machine.write(0, 16, 4, 3, true);
    await begun;
    expect(machine.state).toMatchObject({ start, sealed: start, uploaded: start, seedFresh: true });
    expect(machine.names("spool")).toEqual([]);
    disk.isFullForDeltas = false;
    await machine.until(({ recorder }) => recorder.mode.kind === "logging");
    expect(machine.state).toMatchObject({ seedFresh: true, resynchronizationReason: undefined });
    await machine.finish();
    expect(machine.state).toMatchObject({ start, seed: { done: true } });
    expect(machine.state.sealed.stream).toBe(2);
    // Once more changes nothing.
    const before = machine.state;
    await machine.capture.beginStream(start);
    expect(machine.state).toEqual(before);
    expect(machine.capture.recorder.mode.kind).toBe("logging");
  });

  it("is begun by its start, not by its number alone", async () => {
    const { machine } = await busyMachine();
    const { start } = machine.state;
    const other = { stream: 1, epoch: 0, checksum: "f".repeat(64) };
    await machine.capture.beginStream(other);
    expect(start).toEqual(machine.startOf(false));
    expect(machine.state).toMatchObject({ start: other, sealed: other, uploaded: other });
    machine.kill();
    await machine.start();
    expect(machine.state).toMatchObject({ start: other, sealed: other, uploaded: other });
  });

  it.each(["kill", "crash"] as const)(
    "a %s at any moment leaves the old one whole, or the new one begun",
    async (death) => {
      const found = new Set<number>();
      for (const turns of [0, 1, 2, 3, 4, 6, 8, 12, 20, 40, 100, 300]) {
        const { machine, disk } = await busyMachine(turns);
        void machine.capture.beginStream(machine.startOf(true)).catch(() => undefined);
        await machine.idle(turns);
        machine[death]();
        disk.isFullForDeltas = false;
        await machine.start();
        found.add(machine.state.sealed.stream);
        if (turns % 2 === 0) await machine.finish();
        await machine.capture.beginStream(machine.startOf(false));
        await machine.finish();
        expect(machine.state.sealed.stream).toBe(2);
        await machine.stop();
      }
      expect([...found].toSorted()).toEqual([1, 2]);
    },
    60_000,
  );

  it.each([{ late: false }, { late: true }])("that cannot be made durable leaves the old one going on (late: $late)", async ({ late }) => {
    const { machine, disk } = await busyMachine();
    disk.stateFailures = { count: 2, late };
    await expect(machine.capture.beginStream(machine.startOf(true))).rejects.toThrow("EIO");
    expect(machine.state.sealed.stream).toBe(1);
    expect(machine.names("spool")).toHaveLength(2);
    disk.isFullForDeltas = false;
    await machine.finish();
    expect(machine.state.sealed.stream).toBe(1);
    await machine.capture.beginStream(machine.startOf(false));
    await machine.finish();
    expect(machine.state.sealed.stream).toBe(2);
  });

  it("needs no room: what waits for some goes", async () => {
    const { machine, disk } = await busyMachine();
    disk.isFull = true;
    await machine.capture.beginStream(machine.startOf(true));
    expect(machine.capture.sealer.waiting).toBe(0);
    expect(machine.state.sealed).toEqual(machine.startOf(false));
    disk.isFull = false;
    disk.isFullForDeltas = false;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("changes of the stream and other requests come one after the other", async () => {
    const { machine, disk } = await busyMachine();
    const second = machine.startOf(true);
    const third = machine.startOf(true);
    disk.isFullForDeltas = false;
    await Promise.all([
      machine.capture.beginStream(second),
      machine.capture.recorder.resynchronize("requested", "r1"),
      machine.capture.beginStream(third),
      machine.capture.beginStream(third),
    ]);
    expect(machine.state.start).toEqual(third);
    await expect(machine.finish()).resolves.toBeUndefined();
  });
});
