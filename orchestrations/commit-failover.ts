import { COMMIT_WAIT_MAX_MS, FLOW_LOOK_MS } from "../replication/limits.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";
import { type Flow, FlowFailure, call, inTasks, waitOn } from "./steps.ts";

/** The machine in the target region is the operator's now; the recovery points go, as in Site Recovery. */
export function* commitFailover(run: FlowRun): Flow<void> {
  yield* inTasks(run, [
    ["CloseStream", call(run, "closeStream", undefined)],
    ["RemoveRecoveryPoints", removePoints(run)],
  ]);
}

function* removePoints(run: FlowRun): Flow<void> {
  let before = Number.POSITIVE_INFINITY;
  for (let waitedMs = 0; ;) {
    const { left } = yield* call(run, "removePoints", undefined);
    if (left === 0) return;
    if (left >= before) {
      if (waitedMs >= COMMIT_WAIT_MAX_MS) throw held(left);
      waitedMs = yield* waitOn(FLOW_LOOK_MS, waitedMs);
    }
    before = left;
  }
}

function held(left: number): FlowFailure {
  return new FlowFailure({
    code: "conflict",
    message: `${left} recovery points are held by restores, or by a worker that does not end.`,
    hint: "Wait until the restores of this item have ended, then commit again.",
    retryable: true,
  });
}
