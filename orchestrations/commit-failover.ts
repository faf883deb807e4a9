import { COMMIT_WAIT_MAX_MS, FLOW_LOOK_MS } from "../replication/limits.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";
import { type Flow, FlowFailure, call, inTasks, until } from "./steps.ts";

/** Hands the target machine over to the operator and removes the recovery points, as Site Recovery does. */
export function* commitFailover(run: FlowRun): Flow<void> {
  yield* inTasks(run, function* (tasks) {
    yield* tasks.work("CloseStream", call(run, "closeStream", undefined));
    yield* tasks.work("RemoveRecoveryPoints", removePoints(run));
  });
}

function* removePoints(run: FlowRun): Flow<void> {
  let before = Number.POSITIVE_INFINITY;
  // While each call leaves fewer points, the next call follows at once.
  const probe = function* (): Flow<true | undefined> {
    for (;;) {
      const { left } = yield* call(run, "removePoints", undefined);
      const isLess = left < before;
      before = left;
      if (left === 0) return true;
      if (!isLess) return undefined;
    }
  };
  yield* until(probe, { pauseMs: FLOW_LOOK_MS, maxMs: COMMIT_WAIT_MAX_MS, late: () => held(before) });
}

function held(left: number): FlowFailure {
  return new FlowFailure({
    code: "conflict",
    message: `${left} recovery points are held by restores, or by a worker that does not end.`,
    hint: "Wait until the restores of this item have ended, then commit again.",
    retryable: true,
  });
}
