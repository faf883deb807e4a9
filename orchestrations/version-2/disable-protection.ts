import { CLAIM_MS } from "../../replication/limits.ts";
import { removeSteps } from "../remove.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { type Flow, call, inTasks, wait } from "../steps.ts";

/**
 * As it was until version 3, for runs that have begun under it: its steps stay as they are. Stops replication, removes
 * what Leeward made for the item, and looks that nothing is left. A machine that users work with stays.
 */
export function* disableProtection(run: FlowRun): Flow<void> {
  yield* inTasks(run, function* (tasks) {
    yield* tasks.work("StopReplication", call(run, "silenceSource", undefined));
    tasks.skip("RemoveTestEnvironment");
    yield* tasks.work("RemoveResources", removeEverything(run));
    yield* tasks.work("ProveNothingLeft", call(run, "proveNothingLeft", undefined));
  });
}

function* removeEverything(run: FlowRun): Flow<void> {
  yield* removeSteps(run, "disable");
  yield* call(run, "removeData", undefined);
  // A worker that was in the middle may have written once more; its claim ends by then.
  yield* wait(CLAIM_MS);
  yield* call(run, "removeData", undefined);
}
