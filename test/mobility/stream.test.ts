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

/** Two deltas in the spool, a closed segment that has no room to be sealed, and an open one. */
async function busyMachine(seed = 1): Promise<SourceMachine> {
  const machine = new SourceMachine(createRandom(seed));
  await machine.start();
  await machine.finish();
  for (const sector of [0, 8]) {
    await machine.time.finish(machine.write(0, sector, 4, 7, false));
    machine.cut();
    await machine.until(({ sealer }) => sealer.waiting === 0);
  }
  machine.isFullForDeltas = true;
  await machine.time.finish(machine.write(1, 0, 4, 8, false));
  machine.cut();
  await machine.time.finish(machine.write(1, 8, 4, 9, true));
  return machine;
}

/** As a heartbeat would have it. */
const begin = (machine: SourceMachine, mints: boolean): Promise<void> =>
  machine.time.finish(machine.capture.beginStream(machine.startOf(mints)));

describe("another stream", () => {
  it("begins with initial replication while the guest goes on, and takes what the old one had not sent with it", async () => {
    const machine = await busyMachine();
    expect(machine.names("spool")).toHaveLength(2);
    const start = machine.startOf(true);
    const begun = machine.capture.beginStream(start);
    await machine.time.finish(machine.write(0, 16, 4, 3, true));
    await machine.time.finish(begun);
    expect(machine.state).toMatchObject({ start, sealed: start, uploaded: start, seedFresh: true });
    expect(machine.names("spool")).toEqual([]);
    machine.isFullForDeltas = false;
    await machine.until(({ recorder }) => recorder.mode.kind === "logging");
    expect(machine.state).toMatchObject({ seedFresh: true, resynchronizationReason: undefined });
    await machine.finish();
    expect(machine.state).toMatchObject({ start, seed: { done: true } });
    expect(machine.state.sealed.stream).toBe(2);
    // Once more changes nothing.
    const before = machine.state;
    await begin(machine, false);
    expect(machine.state).toEqual(before);
    expect(machine.capture.recorder.mode.kind).toBe("logging");
  });

  it("is begun by its start, not by its number alone", async () => {
    const machine = await busyMachine();
    const other = { stream: 1, epoch: 0, checksum: "f".repeat(64) };
    expect(machine.state.start).toEqual(machine.startOf(false));
    await machine.time.finish(machine.capture.beginStream(other));
    expect(machine.state).toMatchObject({ start: other, sealed: other, uploaded: other });
    machine.die("kill");
    await machine.start();
    expect(machine.state).toMatchObject({ start: other, sealed: other, uploaded: other });
  });

  it.each(["kill", "power"] as const)(
    "a death at any moment leaves the old one whole, or the new one begun (%s)",
    async (death) => {
      const found = new Set<number>();
      for (let operations = 0; operations < 40; operations += 1) {
        const machine = await busyMachine(operations);
        const start = machine.startOf(true);
        await machine.dieAfter(operations, death, () => machine.capture.beginStream(start));
        machine.isFullForDeltas = false;
        await machine.start();
        found.add(machine.state.sealed.stream);
        if (operations % 2 === 0) await machine.finish();
        await begin(machine, false);
        await machine.finish();
        expect(machine.state.start).toEqual(start);
      }
      expect(found).toEqual(new Set([1, 2]));
    },
  );

  it.each(["before", "after"] as const)(
    "that cannot be made durable leaves the old one going on (%s it took effect)",
    async (when) => {
      const machine = await busyMachine();
      machine.failState(2, when);
      await expect(begin(machine, true)).rejects.toThrow("EIO");
      expect(machine.state.sealed.stream).toBe(1);
      expect(machine.names("spool")).toHaveLength(2);
      machine.isFullForDeltas = false;
      await machine.finish();
      expect(machine.state.sealed.stream).toBe(1);
      await begin(machine, false);
      await machine.finish();
      expect(machine.state.sealed.stream).toBe(2);
    },
  );

  it("needs no room: what waits for some goes", async () => {
    const machine = await busyMachine();
    machine.isFull = true;
    await begin(machine, true);
    expect(machine.capture.sealer.waiting).toBe(0);
    expect(machine.state.sealed).toEqual(machine.startOf(false));
    machine.isFull = false;
    machine.isFullForDeltas = false;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("changes of the stream and other requests come one after the other", async () => {
    const machine = await busyMachine();
    const second = machine.startOf(true);
    const third = machine.startOf(true);
    machine.isFullForDeltas = false;
    const { capture } = machine;
    const all = [
      capture.beginStream(second),
      capture.recorder.resynchronize("requested", "r1"),
      capture.beginStream(third),
      capture.beginStream(third),
    ];
    await machine.time.finish(Promise.all(all));
    expect(machine.state.start).toEqual(third);
    await expect(machine.finish()).resolves.toBeUndefined();
  });
});
