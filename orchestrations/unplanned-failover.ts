import { FLOW_MACHINE_MAX_MS, FLOW_SHUT_DOWN_MAX_MS, FLOW_SHUT_DOWN_PAUSE_MAX_MS } from "../replication/limits.ts";
import type { FailoverRequest } from "../replication/jobs/managed-item.ts";
import { ensureSteps, followChanges } from "./ensure.ts";
import { removeSteps } from "./remove.ts";
import { type Flow, FlowFailure, type FlowRun, call, task, waitOn } from "./steps.ts";

/** Works without the source region (rule 7): the plan is the one of enabling, and what it needs lies in the target account. */
export function* unplannedFailover(run: FlowRun, request: FailoverRequest): Flow<void> {
  // What an earlier attempt left half made is on the disks of another point, and goes first.
  yield* task(run, "CheckPrerequisites", removeSteps(run, "failover"));
  yield* shutDownSource(run, request);
  const pointId = yield* task(run, "ChooseRecoveryPoint", waitForPoint(run));
  yield* task(run, "CreateDisks", restore(run, pointId));
  yield* task(run, "CreateMachine", ensureSteps(run, "failover"));
  yield* task(run, "StartMachine", startMachine(run));
  yield* call(run, "endTask", { name: "RemoveTestEnvironment", state: "Skipped" });
}

/** The failover goes on, and soon, when the source cannot be shut down: it may be the reason for the failover. */
function* shutDownSource(run: FlowRun, request: FailoverRequest): Flow<void> {
  const name = "ShutDownSource";
  if (!request.shutDownSource) {
    yield* call(run, "endTask", { name, state: "Skipped" });
    return;
  }
  yield* call(run, "startTask", { name });
  try {
    yield* followChanges([powerOff(run)], FLOW_SHUT_DOWN_MAX_MS);
    yield* call(run, "endTask", { name, state: "Succeeded" });
  } catch (failure) {
    if (!(failure instanceof FlowFailure)) throw failure;
    yield* call(run, "noteError", { name, error: failure.error });
    yield* call(run, "endTask", { name, state: "Skipped" });
  }
}

const powerOff = (run: FlowRun) => ({
  begin: () => call(run, "beginShutDown", undefined, FLOW_SHUT_DOWN_PAUSE_MAX_MS),
  look: (operation: string) => call(run, "lookChange", { operation }, FLOW_SHUT_DOWN_PAUSE_MAX_MS),
});

/** The latest state is fixed when the source is down, as far as it can be: what it sent before belongs to it. */
function* waitForPoint(run: FlowRun): Flow<string> {
  const latest = yield* call(run, "fixLatest", undefined);
  for (let waitedMs = 0; ;) {
    const answer = yield* call(run, "lookPoint", { latest });
    if (answer.kind === "chosen") return answer.pointId;
    waitedMs = yield* waitOn(0, waitedMs);
  }
}

function* restore(run: FlowRun, pointId: string): Flow<void> {
  yield* call(run, "beginRestore", { pointId });
  for (let waitedMs = 0; ;) {
    const { done } = yield* call(run, "lookRestore", undefined);
    if (done) return;
    waitedMs = yield* waitOn(0, waitedMs);
  }
}

function* startMachine(run: FlowRun): Flow<void> {
  const begin = () => call(run, "beginMachine", undefined);
  yield* followChanges([{ begin, look: (operation) => call(run, "lookChange", { operation }) }], FLOW_MACHINE_MAX_MS);
  yield* call(run, "removeRestored", undefined);
}
