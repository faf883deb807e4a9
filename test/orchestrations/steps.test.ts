import { describe, expect, it } from "vitest";
import { FLOW_VERSION, type FlowRun } from "../../replication/operations/flow-run.ts";
import { FlowFailure, Superseded, call } from "../../orchestrations/steps.ts";
import { FLOW_ACTIVITY_MAX_TRIES, FLOW_PAUSE_MAX_MS, FLOW_PAUSE_MS } from "../../replication/limits.ts";

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
