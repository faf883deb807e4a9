import { describe, expect, it } from "vitest";
import { openWriteLog, type WriteLogOptions } from "../../mobility/capture/write-log.ts";
import { RECORD_HEADER_BYTES } from "../../mobility/journal/record.ts";
import { EPOCH_MAX_DATA_BYTES } from "../../mobility/limits.ts";
import { DELTA_MAX_EXTENTS, EPOCH_MAX_EXTENTS } from "../../replication/limits.ts";
import { createRandom } from "../memory/random.ts";
import { createVirtualTime } from "../memory/virtual-time.ts";

/** A write log above a journal that keeps nothing; the last sequence of each epoch, as the sealer gets it. */
function logInMemory(changes: Partial<WriteLogOptions> = {}) {
  let sequence = 1;
  let segment = 1;
  let openBytes = 0;
  const epochs: number[] = [];
  const times: number[] = [];
  const { clock } = createVirtualTime(1_750_000_000_000, createRandom(1)).process();
  const log = openWriteLog({
    clock,
    journal: {
      get openBytes() {
        return openBytes;
      },
      get openNumber() {
        return segment;
      },
      get nextSequence() {
        return sequence;
      },
      failure: undefined,
      append: ({ timeMs }, data) => {
        times.push(timeMs);
        openBytes += RECORD_HEADER_BYTES + data.length;
        sequence += 1;
        return openBytes - data.length;
      },
      cut: () => {
        openBytes = 0;
        segment += 1;
        return segment - 1;
      },
      sync: () => Promise.resolve(),
      remove: () => undefined,
      pathOf: String,
      close: () => undefined,
    },
    sealer: {
      waiting: 0,
      waitingBytes: 0,
      failing: false,
      add: (_, __, lastSequence) => void epochs.push(lastSequence),
      idle: () => Promise.resolve(),
      below: () => Promise.resolve(),
      belowOrFailing: () => Promise.resolve(),
      pause: () => Promise.resolve(),
      resume: () => undefined,
      forget: () => undefined,
      stop: () => Promise.resolve(),
    },
    diskCount: 2,
    epochMaxAgeMs: 3_600_000,
    lastWriteMs: 0,
    ...changes,
  });
  return { log, epochs, times };
}

describe("the write log", () => {
  it("times never decrease, except behind one that has not come yet, and inside an epoch never", () => {
    let nowMs = 5000;
    let latestMs = Number.POSITIVE_INFINITY;
    const { clock } = createVirtualTime(0, createRandom(1)).process();
    const { log, epochs, times } = logInMemory({
      clock: { ...clock, now: () => nowMs },
      latestMs: () => latestMs,
      lastWriteMs: 4000,
    });
    const write = (atMs: number): void => {
      nowMs = atMs;
      log.append({ kind: "write", disk: 0, pass: 0, offsetBytes: 0, lengthBytes: 512 }, Buffer.alloc(512));
    };
    write(3000);
    write(5000);
    write(4500);
    // Nobody knows better yet.
    write(9_000_000);
    write(5600);
    expect(times.splice(0)).toEqual([4000, 5000, 5000, 9_000_000, 9_000_000]);
    expect(epochs).toEqual([]);
    latestMs = 6000;
    write(5700);
    write(5600);
    write(5800);
    expect(times).toEqual([5700, 5700, 5800]);
    // The epoch with the wrong time was closed behind its last record, and nothing more.
    expect(epochs).toEqual([5]);
  });

  it("rule 9: no epoch has more extents than its bound, however small and scattered the writes are", () => {
    const { log, epochs } = logInMemory();
    const data = Buffer.alloc(512);
    const count = 2 * EPOCH_MAX_EXTENTS + 100;
    // Neither neighbours nor on one disk: each is an extent of its own.
    for (let index = 0; index < count; index += 1) {
      log.append({ kind: "write", disk: index % 2, pass: 0, offsetBytes: 1024 * index, lengthBytes: 512 }, data);
    }
    const sizes = epochs.map((last, index) => last - (epochs[index - 1] ?? 0));
    expect(sizes.length).toBe(2);
    // A write in the middle of an extent makes two more of it, and splitting off zeros doubles them at most:
    // DELTA_MAX_EXTENTS has room.
    for (const size of sizes) expect(size).toBeLessThanOrEqual(EPOCH_MAX_EXTENTS);
    for (const size of sizes) expect(size).toBeGreaterThan(EPOCH_MAX_EXTENTS - 4);
    expect(EPOCH_MAX_EXTENTS).toBeLessThanOrEqual(DELTA_MAX_EXTENTS / 2);
  });

  it("rule 9: no epoch has more bytes than its bound", () => {
    const { log, epochs } = logInMemory();
    const data = Buffer.alloc(4 * 1024 * 1024);
    const fitting = Math.floor(EPOCH_MAX_DATA_BYTES / (RECORD_HEADER_BYTES + data.length));
    for (let at = 0; at <= fitting; at += 1) {
      log.append({ kind: "write", disk: 0, pass: 0, offsetBytes: at * data.length, lengthBytes: data.length }, data);
    }
    expect(epochs).toEqual([fitting]);
  });

  it("no epoch is older than its bound, counted from its first record", () => {
    const timers: { readonly waitMs: number; readonly run: () => void }[] = [];
    const { clock } = createVirtualTime(0, createRandom(1)).process();
    const after = (waitMs: number, run: () => void): (() => void) => {
      const timer = { waitMs, run };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    };
    const { log, epochs } = logInMemory({ clock: { ...clock, after } });
    for (let at = 0; at < 3; at += 1)
      log.append({ kind: "zero", disk: 0, pass: 0, offsetBytes: 0, lengthBytes: 512 }, Buffer.alloc(0));
    expect(timers.map(({ waitMs }) => waitMs)).toEqual([3_600_000]);
    timers[0]?.run();
    expect(epochs).toEqual([3]);
    expect(timers).toEqual([]);
    expect(log.empty).toBe(true);
  });
});
