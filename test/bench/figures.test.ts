import { describe, expect, it } from "vitest";
import { figureLine, isReached, type Figure } from "../../bench/figure.ts";
import { mergingFigures } from "../../bench/merging-figures.ts";
import { median, percentile } from "../../bench/statistics.ts";
import { databaseTrace } from "../../bench/trace.ts";
import { openWriteTimes } from "../../bench/write-times.ts";

const figure = (value: number, goal: Figure["goal"]): Figure => ({ name: "speed", value, unit: "x", goal });

describe("a figure", () => {
  it("is reached at its bound, and not beyond", () => {
    expect(isReached(figure(3, { kind: "at-least", bound: 3 }))).toBe(true);
    expect(isReached(figure(2.999, { kind: "at-least", bound: 3 }))).toBe(false);
    expect(isReached(figure(8, { kind: "at-most", bound: 8 }))).toBe(true);
    expect(isReached(figure(8.001, { kind: "at-most", bound: 8 }))).toBe(false);
    expect(isReached(figure(1, undefined))).toBeUndefined();
  });

  it("that could not be measured is not reached", () => {
    expect(isReached(figure(Number.NaN, { kind: "at-most", bound: 8 }))).toBe(false);
    expect(isReached(figure(Number.NaN, { kind: "at-least", bound: 8 }))).toBe(false);
  });

  it("says value, goal and verdict in one line", () => {
    expect(figureLine(figure(2.5, { kind: "at-least", bound: 3 }))).toMatch(
      /^speed +2\.500 x +goal >= 3 +NOT reached$/,
    );
    expect(figureLine(figure(12.34, { kind: "at-most", bound: 20 }))).toMatch(/^speed +12\.3 x +goal <= 20 +reached$/);
    expect(figureLine({ ...figure(12.34, undefined), unit: "" })).toMatch(/^speed +12\.3$/);
  });
});

describe("statistics", () => {
  it("take the nearest rank", () => {
    const values = [4, 1, 3, 2];
    expect([0, 0.25, 0.5, 0.51, 0.99, 1].map((share) => percentile(values, share))).toEqual([1, 1, 2, 3, 4, 4]);
    expect(median([9, 1, 5])).toBe(5);
    expect(median([])).toBeNaN();
  });
});

describe("the age of what is not applied", () => {
  it("is that of the oldest write that was not acknowledged by the applied moment", () => {
    const times = openWriteTimes();
    expect(times.oldestMissingMs(0, 1_000)).toBe(0);
    const [first, second, third] = [times.sent(100), times.sent(200), times.sent(300)];
    expect(times.oldestMissingMs(0, 1_000)).toBe(900);
    second(210);
    third(320);
    // The first one may have been recorded at any time since it was sent.
    expect(times.oldestMissingMs(250, 1_000)).toBe(900);
    first(240);
    expect(times.oldestMissingMs(250, 1_000)).toBe(700);
    expect(times.allApplied(299)).toBe(false);
    expect(times.oldestMissingMs(320, 1_000)).toBe(0);
    expect(times.allApplied(320)).toBe(true);
  });
});

describe("merging", () => {
  it("longer epochs need fewer Put Pages, and none more than one per write", () => {
    const trace = databaseTrace({ seed: 7, durationMs: 120_000, writesPerSecond: 20, diskBytes: 1024 ** 3 });
    const disks = [
      { id: "data", sizeBytes: 1024 ** 3, sectorSizeBytes: 512 },
      { id: "log", sizeBytes: 128 * 1024 ** 2, sectorSizeBytes: 512 },
    ] as const;
    const figures = mergingFigures(trace, disks);
    const pages = figures.filter(({ name }) => name.startsWith("Put Pages")).map(({ value }) => value);
    expect(pages).toHaveLength(4);
    expect(pages).toEqual(pages.toSorted((left, right) => right - left));
    expect(Math.max(...pages)).toBeLessThan(1);
    expect(Math.min(...pages)).toBeGreaterThan(0);
    expect(figures.find(({ name }) => name.startsWith("bytes sent"))?.value).toBeLessThan(1);
    expect(mergingFigures(trace, disks)).toEqual(figures);
  });
});
