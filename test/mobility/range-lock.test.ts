import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRangeLock } from "../../mobility/disks/range-lock.ts";

describe("range lock", () => {
  it("never lets two overlapping ranges go at once, serves them in the order of arrival, and leaves nothing behind", async () => {
    const range = fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 20 }), fc.nat(5));
    await fc.assert(
      fc.asyncProperty(fc.array(range, { maxLength: 40 }), async (ranges) => {
        const lock = createRangeLock();
        const held = new Set<number>();
        const order: number[] = [];
        const overlaps = (left: number, right: number): boolean => {
          const [a = [0, 0], b = [0, 0]] = [ranges[left], ranges[right]];
          return a[0] < b[0] + b[1] && b[0] < a[0] + a[1];
        };
        await Promise.all(
          ranges.map(async ([start, length, turns], index) => {
            const release = await lock.take(start, start + length);
            for (const other of held) expect(overlaps(index, other)).toBe(false);
            expect(lock.isFree(start, start + length)).toBe(false);
            held.add(index);
            order.push(index);
            for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
            held.delete(index);
            release();
          }),
        );
        const place = new Map(order.map((index, at) => [index, at]));
        for (const later of order) {
          for (let earlier = 0; earlier < later; earlier += 1) {
            expect(overlaps(earlier, later) && (place.get(earlier) ?? 0) > (place.get(later) ?? 0)).toBe(false);
          }
        }
        expect(lock.isFree(0, 1000)).toBe(true);
      }),
    );
  });
});
