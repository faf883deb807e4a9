import type { FlowRun } from "../replication/operations/flow-run.ts";
import type { LedgerSide, RemovalScope } from "../replication/resources/ledger.ts";
import { type FollowedChange, followChanges } from "./ensure.ts";
import { type CallBounds, type Flow, call } from "./steps.ts";

/** Removes what the ledger has in this scope, on one side or both: dependents go first. */
export function* removeSteps(run: FlowRun, scope: RemovalScope, side?: LedgerSide): Flow<void> {
  const stages = yield* call(run, "planRemovals", { scope, ...(side === undefined ? {} : { side }) });
  for (const stage of stages) yield* followChanges(stage.map((id) => removal(run, id)));
}

/** One resource. */
export function removal(run: FlowRun, id: string, bounds: CallBounds = {}): FollowedChange {
  return {
    begin: () => call(run, "beginRemove", { id }, bounds),
    look: (operation) => call(run, "lookRemove", { id, operation }, bounds),
  };
}
