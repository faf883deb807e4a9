import { allowedOperations } from "./decide.ts";
import type { ItemState, Operation } from "./states.ts";

/**
 * The table is complete, but not all of its flows are built. Only these operations are offered. Not built yet: test
 * failover and its clean-up, planned failover, cancelling a failover, changing the recovery point and re-protect.
 * RepairReplication needs no flow: it is a request to the mobility service.
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
