import {
  CLAIM_MS,
  FLOW_LOOK_MS,
  FLOW_SOURCE_MAX_MS,
  FLOW_SOURCE_MAX_TRIES,
  FLOW_SOURCE_PAUSE_MAX_MS,
  FLOW_WORKER_MAX_MS,
} from "../replication/limits.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";
import { followChanges } from "./ensure.ts";
import { removal, removeSteps } from "./remove.ts";
import { type Flow, FlowFailure, call, inTasks, until, wait } from "./steps.ts";

/**
 * Stops replication, removes what Leeward made for the item, and checks that nothing is left. A machine in use by users
 * stays. The item's own record goes last: until then every failure can be retried.
 */
export function* disableProtection(run: FlowRun): Flow<void> {
  yield* inTasks(run, function* (tasks) {
    const settleMs = yield* tasks.work("StopReplication", stopReplication(run));
    tasks.skip("RemoveTestEnvironment");
    yield* tasks.work("RemoveResources", removeEverything(run, settleMs));
    yield* tasks.work("ProveNothingLeft", call(run, "proveNothingLeft", undefined));
  });
}

/**
 * Afterwards no worker begins anything, and none is busy. Returns how long the last worker's requests may take to land.
 */
function* stopReplication(run: FlowRun): Flow<number> {
  yield* call(run, "silenceSource", undefined);
  yield* call(run, "endReplication", undefined);
  const probe = function* (): Flow<number | undefined> {
    const worker = yield* call(run, "lookWorkers", undefined);
    return worker.kind === "ended" ? worker.settleMs : undefined;
  };
  return yield* until(probe, { pauseMs: FLOW_LOOK_MS, maxMs: FLOW_WORKER_MAX_MS, late: busyWorker });
}

function* removeEverything(run: FlowRun, settleMs: number): Flow<void> {
  yield* removeSteps(run, "disable", "target");
  yield* removeTargetData(run);
  // Requests of a worker that were never answered may have landed since.
  yield* wait(Math.max(settleMs, CLAIM_MS));
  yield* removeTargetData(run);
  yield* removeAtSource(run);
  yield* call(run, "forgetItem", undefined);
}

function* removeTargetData(run: FlowRun): Flow<void> {
  for (let more = true; more;) ({ more } = yield* call(run, "removeTargetData", undefined));
}

/**
 * The source region may be gone, and with it the reason to wait: what it does not release soon is named and left to the
 * sweep.
 */
function* removeAtSource(run: FlowRun): Flow<void> {
  const bounds = { pauseMaxMs: FLOW_SOURCE_PAUSE_MAX_MS, maxTries: FLOW_SOURCE_MAX_TRIES };
  const stages = yield* call(run, "planRemovals", { scope: "disable", side: "source" });
  for (const ids of stages) {
    try {
      yield* followChanges(
        ids.map((id) => removal(run, id, bounds)),
        FLOW_SOURCE_MAX_MS,
      );
    } catch (failure) {
      if (!(failure instanceof FlowFailure)) throw failure;
      yield* call(run, "leaveAtSource", { ids, error: failure.error });
    }
  }
}

function busyWorker(): FlowFailure {
  return new FlowFailure({
    code: "conflict",
    message: "A worker still applies deltas of the item.",
    hint: "Look at the log of the function app; then disable protection again.",
    retryable: true,
  });
}
