/**
 * The states of a protected item and what can happen to it. Names are Site Recovery's where it has one (its
 * SDK, operations of protected items).
 */

/** Every state, in the order of an item's life. Nothing reaches some of them yet (docs/states.md, "Not built yet"). */
export const ITEM_STATES = [
  "Unprotected",
  "EnablingProtection",
  "EnableFailed",
  "InitialReplicationInProgress",
  "InitialReplicationFailed",
  "RestartingInitialReplication",
  "Protected",
  "ResyncRequired",
  "PreparingResynchronization",
  "Resynchronizing",
  "TestFailoverInProgress",
  "TestFailoverFailed",
  "TestFailoverCleanupPending",
  "TestFailoverCleanupInProgress",
  "TestFailoverCleanupFailed",
  "FailoverInProgress",
  "FailoverFailed",
  "CancellingFailover",
  "CancelFailoverFailed",
  "FailoverCommitPending",
  "ChangingRecoveryPoint",
  "ChangeRecoveryPointFailed",
  "CommittingFailover",
  "CommitFailed",
  "FailoverCommitted",
  "Reprotecting",
  "ReprotectFailed",
  "DisablingProtection",
  "DisableFailed",
] as const;
export type ItemState = (typeof ITEM_STATES)[number];

/**
 * What an operator may request. All but EnableProtection (a PUT there) are values of Site Recovery's
 * `ReplicationProtectedItemOperation`. Those of products other than Azure-to-Azure (ReverseReplicate, Failback,
 * FinalizeFailback, CompleteMigration) are not offered: re-protect is SwitchProtection, and failing back is another
 * failover after it. Not all of these are built yet: `offered.ts` has those that are.
 */
export const OPERATIONS = [
  "EnableProtection",
  "DisableProtection",
  "TestFailover",
  "TestFailoverCleanup",
  "UnplannedFailover",
  "PlannedFailover",
  "CancelFailover",
  "ChangePit",
  "Commit",
  "SwitchProtection",
  "RepairReplication",
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** The outcome of the job that holds the item in a state of kind `flow`. */
export const OUTCOMES = ["JobSucceeded", "JobFailed"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/**
 * What replication reports by itself. These are levels, not edges: each is true for a while and is reported repeatedly,
 * so a state may ignore a report and nothing is lost.
 */
export const FACTS = [
  /** The target is a full image and a recovery point of it exists. */
  "SeedingComplete",
  /** The target is being filled from the source: changed ranges after a pause, or everything. */
  "SeedingUnderWay",
  /** Replication cannot continue by itself: a fork, lost records, a spool that overran without its map. */
  "ResyncNeeded",
] as const;
export type ReplicationFact = (typeof FACTS)[number];

export const ITEM_EVENTS = [...OPERATIONS, ...OUTCOMES, ...FACTS] as const;
export type ItemEvent = (typeof ITEM_EVENTS)[number];

/** The multi-step flows; each runs as one job. `orchestrations/run-flow.ts` has those that are built. */
export type Flow =
  | "enable-protection"
  | "repair-replication"
  | "test-failover"
  | "test-failover-cleanup"
  | "unplanned-failover"
  | "planned-failover"
  | "cancel-failover"
  | "change-recovery-point"
  | "commit-failover"
  | "reprotect"
  | "disable-protection";

/**
 * `flow`: a job runs and ends the state. `seeding`: replication ends it. `settled`: only an operator ends it. `end`:
 * nothing is left of the item.
 */
export type StateKind = "flow" | "seeding" | "settled" | "failed" | "end";

export const STATE_KINDS: Readonly<Record<ItemState, StateKind>> = {
  Unprotected: "end",
  EnablingProtection: "flow",
  EnableFailed: "failed",
  InitialReplicationInProgress: "seeding",
  InitialReplicationFailed: "failed",
  RestartingInitialReplication: "flow",
  Protected: "settled",
  ResyncRequired: "failed",
  PreparingResynchronization: "flow",
  Resynchronizing: "seeding",
  TestFailoverInProgress: "flow",
  TestFailoverFailed: "failed",
  TestFailoverCleanupPending: "settled",
  TestFailoverCleanupInProgress: "flow",
  TestFailoverCleanupFailed: "failed",
  FailoverInProgress: "flow",
  FailoverFailed: "failed",
  CancellingFailover: "flow",
  CancelFailoverFailed: "failed",
  FailoverCommitPending: "settled",
  ChangingRecoveryPoint: "flow",
  ChangeRecoveryPointFailed: "failed",
  CommittingFailover: "flow",
  CommitFailed: "failed",
  FailoverCommitted: "settled",
  Reprotecting: "flow",
  ReprotectFailed: "failed",
  DisablingProtection: "flow",
  DisableFailed: "failed",
};
