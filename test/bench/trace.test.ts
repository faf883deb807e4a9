import { describe, expect, it } from "vitest";
import { deltasOf, epochsOf, extentsOf } from "../../bench/trace-deltas.ts";
import { databaseTrace, textContent, type TraceWrite } from "../../bench/trace.ts";
import { EPOCH_MAX_DATA_BYTES } from "../../mobility/limits.ts";
import { decodeDelta, decodedFrames } from "../../replication/delta/decode.ts";
import { createRandom } from "../memory/random.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const DISK_BYTES = 1024 * MIB;
const LOG_BYTES = 128 * MIB;
const OPTIONS = { seed: 7, durationMs: 300_000, writesPerSecond: 20, diskBytes: DISK_BYTES };
const DISKS = [
  { id: "data", sizeBytes: DISK_BYTES, sectorSizeBytes: 512 },
  { id: "log", sizeBytes: LOG_BYTES, sectorSizeBytes: 512 },
] as const;

describe("the trace", () => {
  const trace = databaseTrace(OPTIONS);

  it("follows from its seed alone", () => {
    expect(databaseTrace(OPTIONS)).toEqual(trace);
    expect(databaseTrace({ ...OPTIONS, seed: 8 })).not.toEqual(trace);
  });

  it("has writes of 4 to 64 KiB, aligned and inside its two disks, in the order of time", () => {
    expect(trace).toHaveLength(6_000);
    const odd = trace.filter(
      ({ disk, offsetBytes, lengthBytes }) =>
        offsetBytes % 4096 !== 0 ||
        lengthBytes % 4096 !== 0 ||
        lengthBytes < 4 * KIB ||
        lengthBytes > 64 * KIB ||
        offsetBytes < 0 ||
        offsetBytes + lengthBytes > (disk === 0 ? DISK_BYTES : LOG_BYTES),
    );
    expect(odd).toEqual([]);
    expect(
      trace.filter(({ atMs }, index) => atMs < (trace[index - 1]?.atMs ?? 0) || atMs >= OPTIONS.durationMs),
    ).toEqual([]);
  });

  it("is a database's: both disks, many sizes, and places that are written again", () => {
    const share = (which: (write: TraceWrite) => boolean): number => trace.filter(which).length / trace.length;
    expect(share(({ disk }) => disk === 1)).toBeGreaterThan(0.15);
    expect(share(({ disk }) => disk === 1)).toBeLessThan(0.4);
    expect(share(({ lengthBytes }) => lengthBytes <= 8 * KIB)).toBeGreaterThan(0.4);
    expect(share(({ lengthBytes }) => lengthBytes === 64 * KIB)).toBeGreaterThan(0.2);
    const places = new Set(trace.map(({ disk, offsetBytes }) => `${disk}:${offsetBytes}`));
    expect(places.size).toBeLessThan(trace.length * 0.9);
  });

  it("has content that follows from its number, of the length that was asked for", () => {
    for (const lengthBytes of [512, 4096, 65_536]) expect(textContent(3, lengthBytes)).toHaveLength(lengthBytes);
    expect(textContent(3, 4096)).toEqual(textContent(3, 4096));
    expect(textContent(3, 4096)).not.toEqual(textContent(4, 4096));
    const [first, second] = [createRandom(1).next, createRandom(1).next];
    expect([first(), first()]).toEqual([second(), second()]);
  });
});

describe("epochs", () => {
  const write = (atMs: number, lengthBytes = 4 * KIB): TraceWrite => ({
    atMs,
    disk: 0,
    offsetBytes: 0,
    lengthBytes,
    content: 1,
  });
  const times = (epochs: readonly (readonly TraceWrite[])[]): readonly (readonly number[])[] =>
    epochs.map((epoch) => epoch.map(({ atMs }) => atMs));

  it("end at their age, counted from their first write", () => {
    expect(
      times(
        epochsOf(
          [0, 10, 4_999, 5_000, 7_000, 20_000].map((atMs) => write(atMs)),
          5_000,
        ),
      ),
    ).toEqual([[0, 10, 4_999], [5_000, 7_000], [20_000]]);
    expect(epochsOf([], 5_000)).toEqual([]);
  });

  it("end before they grow too large", () => {
    const half = EPOCH_MAX_DATA_BYTES / 2;
    expect(times(epochsOf([write(0, half), write(1, half), write(2, half)], 5_000))).toEqual([[0, 1], [2]]);
  });

  it("hold every write once and in order", () => {
    const trace = databaseTrace(OPTIONS);
    expect(epochsOf(trace, 5_000).flat()).toEqual(trace);
  });
});

describe("deltas of the trace", () => {
  it("carry the last content of each sector, in the extents that the plan is made of", () => {
    const trace = databaseTrace({ ...OPTIONS, durationMs: 20_000 });
    const epochs = epochsOf(trace, 5_000);
    const content = ({ content: number, lengthBytes }: TraceWrite): Uint8Array => textContent(number, lengthBytes);
    const deltas = [...deltasOf("vm", DISKS, epochs, content)].map(({ bytes }) => decodeDelta(bytes));
    expect(deltas.map(({ header }) => header.epoch)).toEqual([1, 2, 3, 4]);
    for (const [index, delta] of deltas.entries()) {
      const epoch = epochs[index] ?? [];
      expect(delta.extents).toEqual(extentsOf(epoch, DISKS.length));
      const sectors = new Map<string, Uint8Array>();
      for (const written of epoch) {
        const bytes = content(written);
        for (let at = 0; at < bytes.length; at += 512)
          sectors.set(`${written.disk}:${written.offsetBytes + at}`, bytes.subarray(at, at + 512));
      }
      let wrong = 0;
      for (const { entry, bytes } of decodedFrames(delta)) {
        for (let at = 0; at < bytes.length; at += 512) {
          const key = `${entry.disk}:${entry.offsetBytes + at}`;
          if (Buffer.compare(bytes.subarray(at, at + 512), sectors.get(key) ?? Buffer.of()) !== 0) wrong += 1;
          sectors.delete(key);
        }
      }
      expect(wrong).toBe(0);
      expect(sectors.size).toBe(0);
    }
  });
});
