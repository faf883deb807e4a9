import { CLAIM_MS } from "../replication/limits.ts";
import { removeSteps } from "./remove.ts";
import { type Flow, type FlowRun, call, task, wait } from "./steps.ts";

/** Stops replication, removes what Leeward made for the item, and looks that nothing is left. A machine that users work with stays. */
export function* disableProtection(run: FlowRun): Flow<void> {
  yield* task(run, "StopReplication", call(run, "silenceSource", undefined));
  yield* call(run, "endTask", { name: "RemoveTestEnvironment", state: "Skipped" });
  yield* task(run, "RemoveResources", removeEverything(run));
  yield* task(run, "ProveNothingLeft", call(run, "proveNothingLeft", undefined));
}

function* removeEverything(run: FlowRun): Flow<void> {
  yield* removeSteps(run, "disable");
  yield* call(run, "removeData", undefined);
  // A worker that was in the middle may have written once more; its claim ends by then.
  yield* wait(CLAIM_MS);
  yield* call(run, "removeData", undefined);
}
