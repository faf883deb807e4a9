import { allowedOperations } from "./decide.ts";
import type { ItemState, Operation } from "./states.ts";

/**
 * The table has more operations than this version has flows for; only those with a flow are offered. Repair is a
 * request to the mobility service.
 */
const OFFERED: ReadonlySet<Operation> = new Set<Operation>([
  "EnableProtection",
  "DisableProtection",
  "UnplannedFailover",
  "Commit",
  "RepairReplication",
]);

/** The operations that this version offers in this state. */
export const offeredOperations = (state: ItemState): readonly Operation[] =>
  allowedOperations(state).filter((each) => OFFERED.has(each));
