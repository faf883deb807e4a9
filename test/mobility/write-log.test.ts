import { describe, expect, it } from "vitest";
import type { ClosedSegment, Sealer } from "../../mobility/epochs/sealer.ts";
import { openWriteLog } from "../../mobility/epochs/write-log.ts";
import type { Journal } from "../../mobility/journal/journal.ts";
import { RECORD_HEADER_BYTES } from "../../mobility/journal/record.ts";
import { EPOCH_MAX_DATA_BYTES, EPOCH_MAX_EXTENTS } from "../../replication/limits.ts";

const MAX_AGE_MS = 5_000;
const EMPTY = Buffer.alloc(0);

/** A journal that only counts, a sealer that only takes, and a clock that is set by hand. */
function open() {
  const times: number[] = [];
  const closed: ClosedSegment[] = [];
  const timers: { readonly waitMs: number; readonly run: () => void }[] = [];
  const now = { ms: 1_000 };
  let openBytes = 0;
  let number = 1;
  let nextSequence = 1;
  const journal: Journal = {
    get openBytes() {
      return openBytes;
    },
    get openNumber() {
      return number;
    },
    get nextSequence() {
      return nextSequence;
    },
    failure: undefined,
    append: ({ timeMs }, data) => {
      times.push(timeMs);
      nextSequence += 1;
      openBytes += RECORD_HEADER_BYTES + data.length;
      return openBytes - data.length;
    },
    cut: () => {
      openBytes = 0;
      number += 1;
      return number - 1;
    },
    sync: () => Promise.resolve(),
    remove: () => undefined,
    pathOf: String,
    close: () => undefined,
  };
  const sealer: Sealer = {
    waiting: 0,
    waitingBytes: 0,
    failing: false,
    add: (segment, lengthBytes, lastSequence) => void closed.push({ number: segment, lengthBytes, lastSequence }),
    idle: () => Promise.resolve(),
    below: () => Promise.resolve(),
    belowOrFailing: () => Promise.resolve(),
    pause: () => Promise.resolve(),
    resume: () => undefined,
    forget: () => undefined,
    stop: () => Promise.resolve(),
  };
  const clock = {
    now: () => now.ms,
    monotonicMs: () => 0,
    turn: () => Promise.resolve(),
    after: (waitMs: number, run: () => void) => {
      const timer = { waitMs, run };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
  };
  const log = openWriteLog({ journal, sealer, diskCount: 1, epochMaxAgeMs: MAX_AGE_MS, clock, lastWriteMs: 0 });
  return { log, closed, times, timers, now };
}

describe("an epoch ends", () => {
  it("before it has more extents than a delta may have: none of them touches another", () => {
    const { log, closed } = open();
    for (let at = 0; at < EPOCH_MAX_EXTENTS; at += 1) {
      log.append({ kind: "zero", disk: 0, pass: 0, offsetBytes: at * 1024, lengthBytes: 512 }, EMPTY);
    }
    // One record may cut an extent in two, and adds its own.
    expect(closed.map(({ lastSequence }) => lastSequence)).toEqual([EPOCH_MAX_EXTENTS - 1]);
  });

  it("before it has more bytes than a delta may have", () => {
    const { log, closed } = open();
    const data = Buffer.alloc(4 * 1024 * 1024);
    const recordBytes = RECORD_HEADER_BYTES + data.length;
    const fitting = Math.floor(EPOCH_MAX_DATA_BYTES / recordBytes);
    for (let at = 0; at <= fitting; at += 1) {
      log.append({ kind: "write", disk: 0, pass: 0, offsetBytes: at * data.length, lengthBytes: data.length }, data);
    }
    expect(closed).toEqual([{ number: 1, lengthBytes: fitting * recordBytes, lastSequence: fitting }]);
    expect(fitting * recordBytes).toBeLessThanOrEqual(EPOCH_MAX_DATA_BYTES);
  });

  it("when it is old enough, counted from its first record", () => {
    const { log, closed, timers } = open();
    for (let at = 0; at < 3; at += 1) log.append({ kind: "zero", disk: 0, pass: 0, offsetBytes: 0, lengthBytes: 512 }, EMPTY);
    expect(timers.map(({ waitMs }) => waitMs)).toEqual([MAX_AGE_MS]);
    timers[0]?.run();
    expect(closed.map(({ lastSequence }) => lastSequence)).toEqual([3]);
    expect(timers).toEqual([]);
    expect(log.empty).toBe(true);
  });
});

describe("the times of records", () => {
  it("never run backwards, whatever the clock does", () => {
    const { log, times, now } = open();
    for (const ms of [1_000, 3_000, 2_000, 500, 3_001]) {
      now.ms = ms;
      log.append({ kind: "zero", disk: 0, pass: 0, offsetBytes: 0, lengthBytes: 512 }, EMPTY);
    }
    expect(times).toEqual([1_000, 3_000, 3_000, 3_000, 3_001]);
  });
});
