import { allowedOperations } from "./decide.ts";
import type { ItemState, Operation } from "./states.ts";

/**
 * The table knows more operations than this version has flows for; what has none is not offered. Repair is a request to
 * the mobility service.
 */
const OFFERED: ReadonlySet<Operation> = new Set<Operation>([
  "EnableProtection",
  "DisableProtection",
  "UnplannedFailover",
  "Commit",
  "RepairReplication",
]);

/** What may be asked of an item in this state, by this version. */
export const offeredOperations = (state: ItemState): readonly Operation[] =>
  allowedOperations(state).filter((each) => OFFERED.has(each));
