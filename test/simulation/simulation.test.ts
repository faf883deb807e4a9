import { describe, expect, it } from "vitest";
import { runHistory } from "./history.ts";
import { type HistoryPlan, planHistory } from "./plan.ts";
import { shrink } from "./shrink.ts";

/** `npm run soak` runs thousands. */
const HISTORIES = Number(process.env["LEEWARD_SIMULATIONS"] ?? 24);
const FIRST_SEED = 1;

const QUIET: HistoryPlan = { ...planHistory(1), rates: {}, steps: [] };

describe("the whole product under one schedule", () => {
  it("rules 1 to 10: every point is a state of the source, nothing that was flushed is lost, nothing is stuck or left over", async () => {
    let points = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + HISTORIES; seed += 1) {
      const result = await runHistory(planHistory(seed));
      expect(result.wrong, `npm run soak -- --seed ${seed} --histories 1`).toEqual([]);
      points += result.points;
    }
    // Histories in which nothing happens would pass too.
    expect(points).toBeGreaterThan(HISTORIES);
  });

  it("repeats a history event by event from the same plan", async () => {
    for (const seed of [7, 8, 9]) {
      const [one, other] = [await runHistory(planHistory(seed)), await runHistory(planHistory(seed))];
      expect({ digest: one.digest, events: one.events, points: one.points }).toEqual({
        digest: other.digest,
        events: other.events,
        points: other.points,
      });
    }
  });
});

describe("shrinking a failing history", () => {
  const step = (atMs: number): HistoryPlan["steps"][number] => ({ atMs, kind: "app-killed", downMs: 0 });

  it("keeps what the failure needs, and nothing else", async () => {
    const plan: HistoryPlan = {
      ...QUIET,
      appProcesses: 3,
      rates: { throttled: 0.1, "request-lost": 0.1 },
      steps: [1, 2, 3, 4, 5, 6, 7].map(step),
    };
    const needs = async ({ steps, rates }: HistoryPlan): Promise<boolean> =>
      steps.some(({ atMs }) => atMs === 3) && steps.some(({ atMs }) => atMs === 6) && (rates.throttled ?? 0) > 0;
    const smallest = await shrink(plan, needs, 200);
    expect(smallest).toMatchObject({ appProcesses: 1, rates: { throttled: 0.1 }, steps: [step(3), step(6)] });
    expect(Object.keys(smallest.rates)).toEqual(["throttled"]);
  });

  it("stops after the given number of runs", async () => {
    let runs = 0;
    await shrink({ ...QUIET, steps: [1, 2, 3, 4].map(step) }, async () => (runs += 1) < 0, 5);
    expect(runs).toBe(5);
  });
});
