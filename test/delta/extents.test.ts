import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { createExtentMap, type ExtentMap, type Run } from "../../replication/delta/extents.ts";
import { spansOf } from "../../replication/delta/spans.ts";
import { noise } from "./samples.ts";

const write = (
  offsetBytes: number,
  lengthBytes: number,
  source = "journal",
  sourceOffsetBytes = 1000,
): Run<string> => ({
  kind: "data",
  offsetBytes,
  lengthBytes,
  source,
  sourceOffsetBytes,
});
const zero = (offsetBytes: number, lengthBytes: number): Run<string> => ({ kind: "zero", offsetBytes, lengthBytes });

function mapOf(...runs: readonly Run<string>[]): ExtentMap<string> {
  const map = createExtentMap<string>();
  for (const run of runs) map.insert(run);
  return map;
}
const runsOf = (...runs: readonly Run<string>[]) => [...mapOf(...runs).entries()];

describe("an extent map", () => {
  it("keeps runs in the order of their offsets, whatever the order of the inserts", () => {
    expect(runsOf(write(20, 5), write(0, 5), write(10, 5))).toEqual([write(0, 5), write(10, 5), write(20, 5)]);
  });

  it("a newer run cuts an older one, whose source offset moves along", () => {
    expect(runsOf(write(0, 30, "old", 100), write(10, 5, "new", 0))).toEqual([
      write(0, 10, "old", 100),
      write(10, 5, "new", 0),
      write(15, 15, "old", 115),
    ]);
  });

  it("a newer run covers several older ones and cuts the outer two", () => {
    expect(runsOf(write(0, 10, "a", 0), zero(10, 10), write(20, 10, "c", 50), write(5, 20, "new", 0))).toEqual([
      write(0, 5, "a", 0),
      write(5, 20, "new", 0),
      write(25, 5, "c", 55),
    ]);
  });

  it("a run of the same place replaces the old one", () => {
    expect(runsOf(write(5, 5, "old"), zero(5, 5))).toEqual([zero(5, 5)]);
  });

  it("runs that continue each other on disk and in their source become one", () => {
    expect(runsOf(write(0, 5, "a", 0), write(10, 5, "a", 10), write(5, 5, "a", 5))).toEqual([write(0, 15, "a", 0)]);
    expect(runsOf(zero(0, 5), zero(10, 5), zero(5, 5))).toEqual([zero(0, 15)]);
    expect(runsOf(zero(0, 10), zero(5, 10))).toEqual([zero(0, 15)]);
  });

  it("runs that only touch stay apart when their sources do not continue", () => {
    expect(runsOf(write(0, 5, "a", 0), write(5, 5, "b", 5)).length).toBe(2);
    expect(runsOf(write(0, 5, "a", 0), write(5, 5, "a", 6)).length).toBe(2);
    expect(runsOf(write(0, 5, "a", 0), zero(5, 5)).length).toBe(2);
  });

  it("an empty run changes nothing", () => {
    expect(runsOf(write(0, 5), zero(2, 0))).toEqual([write(0, 5)]);
  });

  it("counts runs and data bytes", () => {
    const map = mapOf(write(0, 10), zero(20, 10), write(24, 2));
    expect([map.count(), map.dataBytes()]).toEqual([4, 12]);
    map.insert(zero(0, 100));
    expect([map.count(), map.dataBytes()]).toEqual([1, 0]);
  });

  it("holds a hundred thousand scattered runs, and one that wipes them all out", () => {
    const map = createExtentMap<string>();
    const order = Array.from({ length: 100_000 }, (_, index) => (index * 61_803) % 100_000);
    for (const place of order) map.insert(write(place * 10, 5));
    expect(map.count()).toBe(100_000);
    let last = -1;
    for (const run of map.entries()) {
      if (run.offsetBytes <= last) throw new Error("out of order");
      last = run.offsetBytes;
    }
    map.insert(zero(3, 999_990));
    expect([...map.entries()]).toEqual([write(0, 3), zero(3, 999_990), write(999_993, 2, "journal", 1003)]);
  });
});

const WORLD_BYTES = 400;
const operation = fc.record({
  zero: fc.boolean(),
  offset: fc.nat(WORLD_BYTES - 1),
  length: fc.integer({ min: 1, max: 60 }),
});

describe("for any sequence of inserts", () => {
  property.prop([fc.array(operation, { maxLength: 120 })], { numRuns: 400 })(
    "the map holds what a byte array holds",
    (operations) => {
      const sources = operations.map((_, index) => noise(100, index));
      const model = new Int16Array(WORLD_BYTES).fill(-1);
      const map = createExtentMap<number>();
      for (const [source, { zero, offset, length }] of operations.entries()) {
        const lengthBytes = Math.min(length, WORLD_BYTES - offset);
        if (zero) {
          model.fill(0, offset, offset + lengthBytes);
          map.insert({ kind: "zero", offsetBytes: offset, lengthBytes });
        } else {
          model.set(sources[source]?.subarray(7, 7 + lengthBytes) ?? [], offset);
          map.insert({ kind: "data", offsetBytes: offset, lengthBytes, source, sourceOffsetBytes: 7 });
        }
      }
      const built = new Int16Array(WORLD_BYTES).fill(-1);
      const runs = [...map.entries()];
      for (const run of runs) {
        if (run.kind === "zero") built.fill(0, run.offsetBytes, run.offsetBytes + run.lengthBytes);
        else
          built.set(
            sources[run.source]?.subarray(run.sourceOffsetBytes, run.sourceOffsetBytes + run.lengthBytes) ?? [],
            run.offsetBytes,
          );
      }
      expect(built).toEqual(model);
      expect(
        runs.every(
          (run, index) =>
            index === 0 || (runs[index - 1]?.offsetBytes ?? 0) + (runs[index - 1]?.lengthBytes ?? 0) <= run.offsetBytes,
        ),
      ).toBe(true);
      expect(map.count()).toBe(runs.length);
      expect(map.dataBytes()).toBe(runs.reduce((sum, run) => sum + (run.kind === "data" ? run.lengthBytes : 0), 0));
      // Nothing is left that could be one: no two neighbours continue each other.
      const joinable = runs.filter((run, index) => {
        const before = runs[index - 1];
        if (before === undefined || before.offsetBytes + before.lengthBytes !== run.offsetBytes) return false;
        if (before.kind === "zero" || run.kind === "zero") return before.kind === run.kind;
        return before.source === run.source && before.sourceOffsetBytes + before.lengthBytes === run.sourceOffsetBytes;
      });
      expect(joinable).toEqual([]);
    },
  );

  const far = fc.array(fc.tuple(fc.nat(6000), fc.constantFrom(1, 1, 1, 1, 3, 2000)), {
    minLength: 500,
    maxLength: 2500,
  });
  property.prop([far], { numRuns: 30 })("many chunks hold what a byte array holds", (operations) => {
    const model = new Int32Array(8192).fill(-1);
    const map = createExtentMap<number>();
    for (const [source, [offset, length]] of operations.entries()) {
      model.fill(source, offset, offset + length);
      map.insert({ kind: "data", offsetBytes: offset, lengthBytes: length, source, sourceOffsetBytes: offset });
    }
    const built = new Int32Array(8192).fill(-1);
    for (const run of map.entries()) {
      if (run.kind === "data" && run.sourceOffsetBytes === run.offsetBytes)
        built.fill(run.source, run.offsetBytes, run.offsetBytes + run.lengthBytes);
    }
    expect(Buffer.compare(Buffer.from(built.buffer), Buffer.from(model.buffer))).toBe(0);
  });
});

describe("spans", () => {
  it("join adjacent runs of one kind, whatever their sources, and cut data at the maximum", () => {
    const runs = [write(0, 10, "a", 0), write(10, 25, "b", 100), zero(35, 5), zero(50, 1000), write(1050, 5, "a", 7)];
    expect([...spansOf(runs, 16)]).toEqual([
      { kind: "data", offsetBytes: 0, lengthBytes: 16, runs: [write(0, 10, "a", 0), write(10, 6, "b", 100)] },
      { kind: "data", offsetBytes: 16, lengthBytes: 16, runs: [write(16, 16, "b", 106)] },
      { kind: "data", offsetBytes: 32, lengthBytes: 3, runs: [write(32, 3, "b", 122)] },
      { kind: "zero", offsetBytes: 35, lengthBytes: 5 },
      { kind: "zero", offsetBytes: 50, lengthBytes: 1000 },
      { kind: "data", offsetBytes: 1050, lengthBytes: 5, runs: [write(1050, 5, "a", 7)] },
    ]);
  });

  property.prop([fc.array(operation, { maxLength: 60 }), fc.integer({ min: 1, max: 50 })])(
    "cover exactly the runs, each as long as it can be",
    (operations, maximum) => {
      const map = createExtentMap<number>();
      for (const [source, { zero, offset, length }] of operations.entries()) {
        map.insert(
          zero
            ? { kind: "zero", offsetBytes: offset, lengthBytes: length }
            : { kind: "data", offsetBytes: offset, lengthBytes: length, source, sourceOffsetBytes: offset },
        );
      }
      const bytesOf = (runs: Iterable<Run<number>>) =>
        [...runs].flatMap((run) =>
          Array.from(
            { length: run.lengthBytes },
            (_, index) =>
              `${run.offsetBytes + index} ${run.kind === "data" ? `${run.source}/${run.sourceOffsetBytes + index}` : "zero"}`,
          ),
        );
      const spans = [...spansOf(map.entries(), maximum)];
      expect(
        bytesOf(spans.flatMap((span): readonly Run<number>[] => (span.kind === "zero" ? [span] : span.runs))),
      ).toEqual(bytesOf(map.entries()));
      for (const [index, span] of spans.entries()) {
        if (span.kind === "data")
          expect(span.runs.reduce((sum, run) => sum + run.lengthBytes, 0)).toBe(span.lengthBytes);
        const next = spans[index + 1];
        if (next?.kind !== span.kind || next.offsetBytes !== span.offsetBytes + span.lengthBytes) continue;
        expect([span.kind, span.lengthBytes]).toEqual(["data", maximum]);
      }
    },
  );
});
