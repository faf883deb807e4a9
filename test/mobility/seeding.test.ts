import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runsOf } from "../../mobility/capture/seeding.ts";

const GRAIN = 64 * 1024;

describe("seeding", () => {
  it("cuts a chunk into runs that cover it exactly, alternate, and are zero where they say so", () => {
    const grains = fc.array(fc.constantFrom("zero", "data", "last byte"), { minLength: 1, maxLength: 16 });
    fc.assert(
      fc.property(grains, fc.integer({ min: 1, max: 128 }), (kinds, lastSectors) => {
        const whole = Buffer.concat(
          kinds.map((kind) => {
            const grain = Buffer.alloc(GRAIN, kind === "data" ? 7 : 0);
            // In the part of the last grain that remains, too.
            if (kind === "last byte") grain[511] = 1;
            return grain;
          }),
        );
        const chunk = whole.subarray(0, whole.length - GRAIN + lastSectors * 512);
        const runs = runsOf(chunk);
        expect(runs.map(({ from }) => from)).toEqual([0, ...runs.slice(0, -1).map(({ to }) => to)]);
        expect(runs.at(-1)?.to).toBe(chunk.length);
        for (const [index, { zero, from, to }] of runs.entries()) {
          expect(zero).not.toBe(runs[index + 1]?.zero);
          expect(chunk.subarray(from, to).equals(Buffer.alloc(to - from))).toBe(zero);
        }
      }),
      { numRuns: 30 },
    );
  });
});
