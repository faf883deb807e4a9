import type { EventSwitches } from "@leeward/azure-local/events";
import { describe, expect, it } from "vitest";
import { type OnEnd, type Point, SEED, proven, startWorld } from "./world.ts";

/**
 * Writes in bursts with points between them, under this weather. Every point must equal a prefix of the writes; the
 * answer says of each burst whether the point behind it holds all of it.
 */
async function replicateUnder(onEnd: OnEnd, switches: Partial<EventSwitches>): Promise<readonly boolean[]> {
  const { operator, startSource } = await startWorld(onEnd, switches);
  const source = await startSource();
  const whole: Point[] = [];
  const written: number[] = [];
  for (let burst = 0; burst < 2; burst += 1) {
    await source.write(40);
    whole.push(await operator.pointOf(await source.uploaded()));
    written.push(source.log.length);
  }
  const names = whole.map(({ name }) => name);
  const middle = (await operator.points()).filter(({ name }) => !names.includes(name)).slice(0, 2);
  const prefixes = await proven(operator, source, [...whole, ...middle]);
  expect((await operator.item()).stopped).toBeUndefined();
  return written.map((count, index) => prefixes[index]?.includes(count) === true);
}

describe.concurrent(`rule 5: events are hints (seed ${SEED})`, () => {
  it("when every event is lost, the sweep finds the deltas, and the points are right", async ({ onTestFinished }) => {
    expect(await replicateUnder(onTestFinished, { dropRatio: 1 })).toEqual([true, true]);
  });

  it("when events come twice, late and in another order, the points are the same bytes", async ({ onTestFinished }) => {
    expect(
      await replicateUnder(onTestFinished, { dropRatio: 0.2, repeatRatio: 1, delayMs: 300, reorder: true }),
    ).toEqual([true, true]);
  });
});
