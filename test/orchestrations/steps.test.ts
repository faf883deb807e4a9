import { describe, expect, it } from "vitest";
import { type Flow, FlowFailure, Superseded, call, inTasks, until, wait } from "../../orchestrations/steps.ts";
import { FLOW_ACTIVITY_MAX_TRIES, FLOW_PAUSE_MAX_MS, FLOW_PAUSE_MS } from "../../replication/limits.ts";
import { FLOW_VERSION, type FlowRun } from "../../replication/operations/flow-run.ts";

const RUN: FlowRun = { version: FLOW_VERSION, itemId: "web-1", jobId: "0".repeat(32), flow: "disable-protection" };
const failed = (more: object = {}) => ({
  kind: "failed",
  error: { code: "store-unavailable", message: "away", hint: "", retryable: true, ...more },
});

/** Answers an activity with these, one after the other; the pauses between them, and what it came to. */
function answered(
  answers: readonly object[],
  bounds = {},
): { readonly pauses: readonly number[]; readonly end: unknown } {
  const flow = call(RUN, "forgetItem", undefined, bounds);
  const pauses: number[] = [];
  const left = [...answers];
  try {
    for (let next = flow.next(); ;) {
      if (next.done === true) return { pauses, end: "done" };
      if (next.value.kind === "wait") pauses.push(next.value.delayMs);
      next = flow.next(next.value.kind === "wait" ? undefined : left.shift());
    }
  } catch (error) {
    return { pauses, end: error };
  }
}

describe("an activity", () => {
  it("that fails is tried again after a pause that doubles up to its bound", () => {
    const { pauses, end } = answered(Array.from({ length: FLOW_ACTIVITY_MAX_TRIES }, () => failed()));
    expect(pauses).toEqual(
      Array.from({ length: FLOW_ACTIVITY_MAX_TRIES - 1 }, (_, at) =>
        Math.min(FLOW_PAUSE_MS * 2 ** at, FLOW_PAUSE_MAX_MS),
      ),
    );
    expect(end).toBeInstanceOf(FlowFailure);
    expect(answered([failed(), { kind: "done" }])).toEqual({ pauses: [FLOW_PAUSE_MS], end: "done" });
  });

  it("waits as long as the service asks for, unless its caller cannot wait", () => {
    expect(answered([failed({ retryAfterMs: 600_000 }), { kind: "done" }]).pauses).toEqual([600_000]);
    expect(answered([failed({ retryAfterMs: 600_000 }), { kind: "done" }], { pauseMaxMs: 1_000 }).pauses).toEqual([
      1_000,
    ]);
  });

  it("is not tried again when that cannot help, or when the item has gone on to another job", () => {
    expect(answered([failed({ retryable: false })]).end).toBeInstanceOf(FlowFailure);
    expect(answered([{ kind: "superseded" }]).end).toBeInstanceOf(Superseded);
  });
});

/** Runs a flow without activities, answering its waits; how long each was. */
function waitsOf<Result>(flow: Flow<Result>): { readonly waits: readonly number[]; readonly end: unknown } {
  const waits: number[] = [];
  try {
    for (let next = flow.next(); ;) {
      if (next.done === true) return { waits, end: next.value };
      if (next.value.kind === "wait") waits.push(next.value.delayMs);
      next = flow.next();
    }
  } catch (error) {
    return { waits, end: error };
  }
}

describe("a wait for something", () => {
  const late = new FlowFailure({ code: "control-unavailable", message: "late", hint: "", retryable: true });
  /** Finds it once the wait has been so long, and tells how long it was. */
  const foundAfter = (neededMs: number) =>
    // oxlint-disable-next-line require-yield -- a probe that needs no activity
    function* (waitedMs: number): Flow<number | undefined> {
      return waitedMs >= neededMs ? waitedMs : undefined;
    };

  it("ends with what the probe finds, and pauses behind each that finds nothing", () => {
    expect(waitsOf(until(foundAfter(0)))).toEqual({ waits: [], end: 0 });
    const { waits, end } = waitsOf(until(foundAfter(120_000)));
    expect(waits.length).toBeGreaterThan(1);
    expect(end).toBe(waits.reduce((sum, each) => sum + each, 0));
    expect(waitsOf(until(foundAfter(120_000), { pauseMs: 60_000 })).waits).toEqual([60_000, 60_000]);
  });

  it("is over when it takes too long, but not before the last look", () => {
    const patience = { pauseMs: 60_000, maxMs: 120_000, late: () => late };
    expect(waitsOf(until(foundAfter(180_000), patience))).toEqual({ waits: [60_000, 60_000], end: late });
    expect(waitsOf(until(foundAfter(120_000), patience))).toEqual({ waits: [60_000, 60_000], end: 120_000 });
  });
});

describe("the tasks of a job", () => {
  it("hand their results on, and each end is told with the next beginning", () => {
    const flow = inTasks(RUN, function* (tasks) {
      const first = yield* tasks.work("First", call(RUN, "removeTargetData", undefined));
      tasks.skip("Second");
      yield* tasks.work("Third", wait(first.more ? 1 : 2));
      tasks.skip("Fourth");
    });
    const told: unknown[] = [];
    for (let next = flow.next(); next.done !== true;) {
      const step = next.value;
      told.push(step.kind === "wait" ? step.delayMs : [step.name, step.request.input]);
      next = flow.next({ kind: "done", value: { more: true } });
    }
    const succeeded = (name: string) => ({ name, state: "Succeeded" });
    const skipped = (name: string) => ({ name, state: "Skipped" });
    expect(told).toEqual([
      ["turnTasks", { ended: [], started: "First" }],
      ["removeTargetData", undefined],
      ["turnTasks", { ended: [succeeded("First"), skipped("Second")], started: "Third" }],
      1,
      ["turnTasks", { ended: [succeeded("Third"), skipped("Fourth")], started: undefined }],
    ]);
  });
});
