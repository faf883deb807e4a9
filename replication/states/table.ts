import type { RefusalReason } from "./refusals.ts";
import type { Flow, ItemEvent, ItemState, Operation, Outcome, ReplicationFact } from "./states.ts";

/**
 * What an event does in a state. An operation starts a flow or is refused; outcomes and facts move the item or have no
 * effect.
 */
export type Transition =
  | { readonly kind: "start"; readonly next: ItemState; readonly flow: Flow }
  | { readonly kind: "move"; readonly next: ItemState }
  | { readonly kind: "refuse"; readonly reason: RefusalReason }
  | { readonly kind: "ignore" };

type Row = Readonly<Record<ItemEvent, Transition>>;

const start = (flow: Flow, next: ItemState): Transition => ({ kind: "start", next, flow });
const move = (next: ItemState): Transition => ({ kind: "move", next });
const refuse = (reason: RefusalReason): Transition => ({ kind: "refuse", reason });
const IGNORE: Transition = { kind: "ignore" };

const ENABLE = start("enable-protection", "EnablingProtection");
const DISABLE = start("disable-protection", "DisablingProtection");
const TEST = start("test-failover", "TestFailoverInProgress");
const CLEAN_UP = start("test-failover-cleanup", "TestFailoverCleanupInProgress");
const FAIL_OVER = start("unplanned-failover", "FailoverInProgress");
const FAIL_OVER_PLANNED = start("planned-failover", "FailoverInProgress");
const CANCEL = start("cancel-failover", "CancellingFailover");
const CHANGE_POINT = start("change-recovery-point", "ChangingRecoveryPoint");
const COMMIT = start("commit-failover", "CommittingFailover");
const REPROTECT = start("reprotect", "Reprotecting");
const RESYNCHRONIZE = start("repair-replication", "PreparingResynchronization");

/**
 * Refuses every operation for one reason; each row overrides what its state permits, so that it shows only its own
 * rules.
 */
function refuseAll(reason: RefusalReason): Readonly<Record<Operation, Transition>> {
  const refusal = refuse(reason);
  return {
    EnableProtection: refusal,
    DisableProtection: refusal,
    TestFailover: refusal,
    TestFailoverCleanup: refusal,
    UnplannedFailover: refusal,
    PlannedFailover: refusal,
    CancelFailover: refusal,
    ChangePit: refusal,
    Commit: refusal,
    SwitchProtection: refusal,
    RepairReplication: refusal,
  };
}

/** A protected item that has not failed over and has no test failover: refusals state the plain fact. */
const REPLICATING: Readonly<Record<Operation, Transition>> = {
  EnableProtection: refuse("already-protected"),
  DisableProtection: DISABLE,
  TestFailover: TEST,
  TestFailoverCleanup: refuse("no-test-failover"),
  UnplannedFailover: FAIL_OVER,
  PlannedFailover: refuse("not-resynchronized"),
  CancelFailover: refuse("not-failed-over"),
  ChangePit: refuse("not-failed-over"),
  Commit: refuse("not-failed-over"),
  SwitchProtection: refuse("not-failed-over"),
  RepairReplication: RESYNCHRONIZE,
};

/**
 * An open test failover: besides its clean-up a real failover stays possible (Site Recovery refuses it), and includes
 * the clean-up.
 */
const TEST_OPEN: Readonly<Record<Operation, Transition>> = {
  ...REPLICATING,
  TestFailover: refuse("clean-up-first"),
  TestFailoverCleanup: CLEAN_UP,
  // Not an emergency, and before the clean-up it is unknown whether the target is level with the source.
  PlannedFailover: refuse("clean-up-first"),
  RepairReplication: refuse("clean-up-first"),
};

/** Initial replication: there is no recovery point to use. */
const SEEDING_FIRST: Readonly<Record<Operation, Transition>> = {
  ...REPLICATING,
  TestFailover: refuse("no-recovery-point"),
  UnplannedFailover: refuse("no-recovery-point"),
  PlannedFailover: refuse("no-recovery-point"),
  RepairReplication: refuse("replicates-by-itself"),
};

/** A state that a job ends. */
const ends = (succeeded: ItemState, failed: ItemState): Readonly<Record<Outcome, Transition>> => ({
  JobSucceeded: move(succeeded),
  JobFailed: move(failed),
});
/** No job runs: any outcome is late. */
const NO_JOB: Readonly<Record<Outcome, Transition>> = { JobSucceeded: IGNORE, JobFailed: IGNORE };
/** Facts are levels: they are reported again in the state that follows. */
const IGNORES_FACTS: Readonly<Record<ReplicationFact, Transition>> = {
  SeedingComplete: IGNORE,
  SeedingUnderWay: IGNORE,
  ResyncNeeded: IGNORE,
};

/**
 * The one table of a protected item (docs/states.md shows it in full): total, without default. While a job runs, a
 * permitted operation takes over: its flow ends the running job first. It includes operations that are not built yet
 * (`offered.ts`).
 */
export const TRANSITIONS: Readonly<Record<ItemState, Row>> = {
  Unprotected: { ...refuseAll("not-protected"), EnableProtection: ENABLE, ...NO_JOB, ...IGNORES_FACTS },

  // The operator must be able to stop waiting for a mobility service that never comes.
  EnablingProtection: {
    ...refuseAll("busy"),
    DisableProtection: DISABLE,
    ...ends("InitialReplicationInProgress", "EnableFailed"),
    ...IGNORES_FACTS,
  },
  EnableFailed: {
    ...refuseAll("enable-failed"),
    EnableProtection: ENABLE,
    DisableProtection: DISABLE,
    ...NO_JOB,
    ...IGNORES_FACTS,
  },

  InitialReplicationInProgress: {
    ...SEEDING_FIRST,
    ...NO_JOB,
    SeedingComplete: move("Protected"),
    SeedingUnderWay: IGNORE,
    ResyncNeeded: move("InitialReplicationFailed"),
  },
  InitialReplicationFailed: {
    ...refuseAll("initial-replication-failed"),
    DisableProtection: DISABLE,
    RepairReplication: start("repair-replication", "RestartingInitialReplication"),
    ...NO_JOB,
    // The service repaired it by itself, for example after its records were restored.
    SeedingComplete: move("Protected"),
    SeedingUnderWay: move("InitialReplicationInProgress"),
    ResyncNeeded: IGNORE,
  },
  RestartingInitialReplication: {
    ...refuseAll("busy"),
    DisableProtection: DISABLE,
    ...ends("InitialReplicationInProgress", "InitialReplicationFailed"),
    ...IGNORES_FACTS,
  },

  Protected: {
    ...REPLICATING,
    PlannedFailover: FAIL_OVER_PLANNED,
    ...NO_JOB,
    SeedingComplete: IGNORE,
    SeedingUnderWay: move("Resynchronizing"),
    ResyncNeeded: move("ResyncRequired"),
  },
  // Points taken before stay usable, so the item can be failed over and tested.
  ResyncRequired: {
    ...REPLICATING,
    ...NO_JOB,
    SeedingComplete: move("Protected"),
    SeedingUnderWay: move("Resynchronizing"),
    ResyncNeeded: IGNORE,
  },
  PreparingResynchronization: {
    ...refuseAll("busy"),
    UnplannedFailover: FAIL_OVER,
    ...ends("Resynchronizing", "ResyncRequired"),
    ...IGNORES_FACTS,
  },
  Resynchronizing: {
    ...REPLICATING,
    ...NO_JOB,
    SeedingComplete: move("Protected"),
    SeedingUnderWay: IGNORE,
    ResyncNeeded: move("ResyncRequired"),
  },

  TestFailoverInProgress: {
    ...refuseAll("busy"),
    UnplannedFailover: FAIL_OVER,
    ...ends("TestFailoverCleanupPending", "TestFailoverFailed"),
    ...IGNORES_FACTS,
  },
  TestFailoverFailed: { ...TEST_OPEN, ...NO_JOB, ...IGNORES_FACTS },
  TestFailoverCleanupPending: { ...TEST_OPEN, ...NO_JOB, ...IGNORES_FACTS },
  TestFailoverCleanupInProgress: {
    ...refuseAll("busy"),
    UnplannedFailover: FAIL_OVER,
    ...ends("Protected", "TestFailoverCleanupFailed"),
    ...IGNORES_FACTS,
  },
  TestFailoverCleanupFailed: { ...TEST_OPEN, ...NO_JOB, ...IGNORES_FACTS },

  // A second failover is refused; the running one can be cancelled.
  FailoverInProgress: {
    ...refuseAll("busy"),
    CancelFailover: CANCEL,
    ...ends("FailoverCommitPending", "FailoverFailed"),
    ...IGNORES_FACTS,
  },
  FailoverFailed: {
    ...refuseAll("failover-incomplete"),
    DisableProtection: DISABLE,
    UnplannedFailover: FAIL_OVER,
    PlannedFailover: FAIL_OVER_PLANNED,
    CancelFailover: CANCEL,
    ...NO_JOB,
    ...IGNORES_FACTS,
  },
  // A planned failover closed the stream: replication then reports ResyncNeeded for the protected item.
  CancellingFailover: { ...refuseAll("busy"), ...ends("Protected", "CancelFailoverFailed"), ...IGNORES_FACTS },
  CancelFailoverFailed: {
    ...refuseAll("failover-being-cancelled"),
    DisableProtection: DISABLE,
    UnplannedFailover: FAIL_OVER,
    CancelFailover: CANCEL,
    ...NO_JOB,
    ...IGNORES_FACTS,
  },

  FailoverCommitPending: {
    ...refuseAll("already-failed-over"),
    DisableProtection: DISABLE,
    TestFailoverCleanup: refuse("no-test-failover"),
    CancelFailover: CANCEL,
    ChangePit: CHANGE_POINT,
    Commit: COMMIT,
    SwitchProtection: refuse("commit-first"),
    ...NO_JOB,
    ...IGNORES_FACTS,
  },
  ChangingRecoveryPoint: {
    ...refuseAll("busy"),
    ...ends("FailoverCommitPending", "ChangeRecoveryPointFailed"),
    ...IGNORES_FACTS,
  },
  // No commit here: it would delete the points while the machine may be missing.
  ChangeRecoveryPointFailed: {
    ...refuseAll("recovery-point-half-changed"),
    DisableProtection: DISABLE,
    CancelFailover: CANCEL,
    ChangePit: CHANGE_POINT,
    ...NO_JOB,
    ...IGNORES_FACTS,
  },
  CommittingFailover: { ...refuseAll("busy"), ...ends("FailoverCommitted", "CommitFailed"), ...IGNORES_FACTS },
  CommitFailed: {
    ...refuseAll("commit-begun"),
    DisableProtection: DISABLE,
    Commit: COMMIT,
    ...NO_JOB,
    ...IGNORES_FACTS,
  },
  FailoverCommitted: {
    ...refuseAll("reprotect-first"),
    DisableProtection: DISABLE,
    CancelFailover: refuse("already-committed"),
    ChangePit: refuse("already-committed"),
    Commit: refuse("already-committed"),
    SwitchProtection: REPROTECT,
    ...NO_JOB,
    ...IGNORES_FACTS,
  },

  // Re-protect ends in the initial replication of the opposite direction.
  Reprotecting: {
    ...refuseAll("busy"),
    DisableProtection: DISABLE,
    ...ends("InitialReplicationInProgress", "ReprotectFailed"),
    ...IGNORES_FACTS,
  },
  ReprotectFailed: {
    ...refuseAll("reprotect-first"),
    DisableProtection: DISABLE,
    SwitchProtection: REPROTECT,
    ...NO_JOB,
    ...IGNORES_FACTS,
  },

  DisablingProtection: { ...refuseAll("busy"), ...ends("Unprotected", "DisableFailed"), ...IGNORES_FACTS },
  DisableFailed: { ...refuseAll("being-disabled"), DisableProtection: DISABLE, ...NO_JOB, ...IGNORES_FACTS },
};
