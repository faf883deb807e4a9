import type { RemovalScope } from "../replication/failover/ledger.ts";
import { followChanges } from "./ensure.ts";
import type { FlowRun } from "./flow-run.ts";
import { type Flow, call } from "./steps.ts";

/** Removes what the ledger has in this scope: what depends on something goes before it. */
export function* removeSteps(run: FlowRun, scope: RemovalScope): Flow<void> {
  const stages = yield* call(run, "planRemovals", { scope });
  for (const stage of stages) {
    yield* followChanges(
      stage.map((id) => ({
        begin: () => call(run, "beginRemove", { id }),
        look: (operation) => call(run, "lookRemove", { id, operation }),
      })),
    );
  }
}
