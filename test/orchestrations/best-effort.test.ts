import { describe, expect, it } from "vitest";
import { bestEffort } from "../../orchestrations/best-effort.ts";
import { type Flow, type Step, Superseded, call, wait } from "../../orchestrations/steps.ts";
import { FLOW_BEST_EFFORT_MAX_MS } from "../../replication/limits.ts";
import { FLOW_VERSION, type FlowRun } from "../../replication/operations/flow-run.ts";
import { drive } from "./driver.ts";
import { FLOW_SCENARIOS } from "./flow-scenarios.ts";
import { emptyHistory } from "./world.ts";

const RUN: FlowRun = { version: FLOW_VERSION, itemId: "web-1", jobId: "0".repeat(32), flow: "unplanned-failover" };
const MAX_MS = 60_000;
const DONE = { kind: "done", value: { kind: "done" } };

/** Answers every activity with this; the steps that there were. */
function stepsOf(flow: Flow<void>, answer: (step: Step) => unknown): readonly Step[] {
  const steps: Step[] = [];
  for (let next = flow.next(); next.done !== true && steps.length < 1_000;) {
    steps.push(next.value);
    next = flow.next(next.value.kind === "wait" ? undefined : answer(next.value));
  }
  return steps;
}

const namesOf = (steps: readonly Step[]): readonly string[] =>
  steps.map((step) => (step.kind === "wait" ? "wait" : step.name));

function* pausing(times: number, delayMs: number): Flow<void> {
  for (let time = 0; time < times; time += 1) {
    yield* call(RUN, "beginShutDown", undefined);
    yield* wait(delayMs);
  }
}

describe("a best effort", () => {
  it("that ends within its time is work like any other, and every step of it is declared", () => {
    const declared = { task: "ShutDownSource", maxMs: MAX_MS };
    const steps = stepsOf(bestEffort(RUN, "ShutDownSource", pausing(2, MAX_MS / 2), { maxMs: MAX_MS }), () => DONE);
    expect(namesOf(steps)).toEqual(["beginShutDown", "wait", "beginShutDown", "wait"]);
    expect(steps.map(({ bestEffort: mark }) => mark)).toEqual(steps.map(() => declared));
  });

  it("is ended before the pause that would be too long, is noted, and the flow goes on", () => {
    const steps = stepsOf(bestEffort(RUN, "ShutDownSource", pausing(9, 25_000), { maxMs: MAX_MS }), () => DONE);
    expect(namesOf(steps)).toEqual([
      "beginShutDown",
      "wait",
      "beginShutDown",
      "wait",
      "beginShutDown",
      "noteError",
      "turnTasks",
    ]);
    expect(steps.at(-2)).toMatchObject({
      request: {
        input: { name: "ShutDownSource", error: { message: "ShutDownSource did not end within 1 minutes." } },
      },
    });
    expect(steps.at(-1)).toMatchObject({
      request: { input: { ended: [{ name: "ShutDownSource", state: "Skipped" }] } },
    });
  });

  it("counts the pauses between tries of an activity as well", () => {
    const failed = { kind: "failed", error: { code: "store-unavailable", message: "", hint: "", retryable: true } };
    const steps = stepsOf(bestEffort(RUN, "ShutDownSource", pausing(1, 0), { maxMs: MAX_MS }), (step) =>
      step.bestEffort === undefined ? DONE : failed,
    );
    const pauses = steps.flatMap((step) => (step.kind === "wait" ? [step.delayMs] : []));
    expect(pauses.reduce((sum, delayMs) => sum + delayMs, 0)).toBeLessThanOrEqual(MAX_MS);
    expect(namesOf(steps).slice(-2)).toEqual(["noteError", "turnTasks"]);
  });

  it("does not go on when another job has taken over", () => {
    const flow = bestEffort(RUN, "ShutDownSource", pausing(1, 0), { maxMs: MAX_MS });
    expect(() => stepsOf(flow, () => ({ kind: "superseded" }))).toThrow(Superseded);
  });

  it("that the host failed, as a lost activity is, fails with it", () => {
    const flow = bestEffort(RUN, "ShutDownSource", pausing(1, 0), { maxMs: MAX_MS });
    flow.next();
    expect(() => flow.throw(new Error("the host"))).toThrow("the host");
  });
});

describe("all best efforts of a flow together", () => {
  it.each(FLOW_SCENARIOS)("$flow: $name: hold it up no longer than FLOW_BEST_EFFORT_MAX_MS", async (scenario) => {
    const world = await scenario.open();
    const { run } = await world.ask(scenario.request);
    const history = emptyHistory();
    // None of them ever succeeds.
    await drive(world.context, run, {
      history,
      onWait: world.pass,
      strike: (_name, _call, step) => (step.bestEffort === undefined ? undefined : "before"),
    });
    const steps = history.steps.map((step) => JSON.parse(step) as Step);
    const declared = new Map(
      steps.flatMap(({ bestEffort: mark }) => (mark === undefined ? [] : [[mark.task, mark.maxMs]])),
    );
    const pausesMs = steps.flatMap((step) =>
      step.kind === "wait" && step.bestEffort !== undefined ? [step.delayMs] : [],
    );
    const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, each) => total + each, 0);
    expect(sum(declared.values())).toBeLessThanOrEqual(FLOW_BEST_EFFORT_MAX_MS);
    expect(sum(pausesMs)).toBeLessThanOrEqual(sum(declared.values()));
  });
});
