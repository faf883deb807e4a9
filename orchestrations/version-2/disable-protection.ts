import { CLAIM_MS } from "../../replication/limits.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { removeSteps } from "../remove.ts";
import { type Flow, call, inTasks, wait } from "../steps.ts";

/**
 * The flow before version 3, for runs that began under it: its steps never change. Stops replication, removes what
 * Leeward made for the item, and checks that nothing is left. A machine in use by users stays.
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
  // A worker that was busy may have written once more; its claim ends by then.
  yield* wait(CLAIM_MS);
  yield* call(run, "removeData", undefined);
}
