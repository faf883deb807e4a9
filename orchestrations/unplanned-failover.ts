import type { FailoverRequest } from "../replication/jobs/managed-item.ts";
import {
  FLOW_MACHINE_MAX_MS,
  FLOW_SOURCE_MAX_MS,
  FLOW_SOURCE_PAUSE_MAX_MS,
  LATEST_WAIT_MS,
} from "../replication/limits.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";
import { bestEffort } from "./best-effort.ts";
import { ensureSteps, followChanges } from "./ensure.ts";
import { removeSteps } from "./remove.ts";
import { type Flow, call, inTasks, until } from "./steps.ts";

/**
 * Works without the source region (rule 7): the plan is that of enabling, and everything it needs is in the target
 * account.
 */
export function* unplannedFailover(run: FlowRun, request: FailoverRequest): Flow<void> {
  yield* inTasks(run, function* (tasks) {
    // What an earlier attempt left half made is on the disks of another point, and goes first.
    yield* tasks.work("CheckPrerequisites", removeSteps(run, "failover"));
    if (request.shutDownSource) yield* tasks.work("ShutDownSource", shutDownSource(run));
    else tasks.skip("ShutDownSource");
    const pointId = yield* tasks.work("ChooseRecoveryPoint", waitForPoint(run));
    yield* tasks.work("CreateDisks", restore(run, pointId));
    yield* tasks.work("CreateMachine", ensureSteps(run, "failover"));
    yield* tasks.work("StartMachine", startMachine(run));
    tasks.skip("RemoveTestEnvironment");
  });
}

/** The failover continues, and soon, when the source cannot be shut down: that may be the reason for the failover. */
function shutDownSource(run: FlowRun): Flow<void> {
  return bestEffort(run, "ShutDownSource", followChanges([powerOff(run)]), { maxMs: FLOW_SOURCE_MAX_MS });
}

const powerOff = (run: FlowRun) => ({
  begin: () => call(run, "beginShutDown", undefined, { pauseMaxMs: FLOW_SOURCE_PAUSE_MAX_MS }),
  look: (operation: string) => call(run, "lookChange", { operation }, { pauseMaxMs: FLOW_SOURCE_PAUSE_MAX_MS }),
});

/** Fixes the latest state when the source is down, as far as possible: everything it sent before belongs to it. */
function* waitForPoint(run: FlowRun): Flow<string> {
  const latest = yield* call(run, "fixLatest", undefined);
  return yield* until(function* (waitedMs): Flow<string | undefined> {
    // The time waited counts too: setting the clock back moves the deadline away.
    const isOver = waitedMs >= LATEST_WAIT_MS;
    const answer = yield* call(run, "lookPoint", { latest: isOver ? { ...latest, deadlineMs: 0 } : latest });
    return answer.kind === "chosen" ? answer.pointId : undefined;
  });
}

function* restore(run: FlowRun, pointId: string): Flow<void> {
  yield* call(run, "beginRestore", { pointId });
  yield* until(function* () {
    const { done } = yield* call(run, "lookRestore", undefined);
    return done || undefined;
  });
}

function* startMachine(run: FlowRun): Flow<void> {
  const begin = () => call(run, "beginMachine", undefined);
  yield* followChanges([{ begin, look: (operation) => call(run, "lookChange", { operation }) }], FLOW_MACHINE_MAX_MS);
  yield* call(run, "removeRestored", undefined);
}
