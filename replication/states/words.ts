import type { ItemState } from "./states.ts";

/** How the API names a state. */
interface StateWords {
  readonly protectionState: string;
  readonly protectionStateDescription: string;
  /** Where users' work runs once the state is entered; `unchanged` keeps the previous value. */
  readonly activeLocation: "Primary" | "Recovery" | "unchanged";
  readonly testFailover: TestFailoverWords;
}

interface TestFailoverWords {
  readonly testFailoverState: string;
  readonly testFailoverStateDescription: string;
}

const NO_TEST: TestFailoverWords = { testFailoverState: "None", testFailoverStateDescription: "None" };
/** Also shown when a failover or disabling has taken over an open test failover whose machine still exists. */
const TEST_GOING: TestFailoverWords = {
  testFailoverState: "MarkedForDeletion",
  testFailoverStateDescription: "Cleaning up test environment",
};

function words(
  protectionState: string,
  protectionStateDescription: string,
  activeLocation: StateWords["activeLocation"] = "Primary",
  testFailover: TestFailoverWords = NO_TEST,
): StateWords {
  return { protectionState, protectionStateDescription, activeLocation, testFailover };
}

/**
 * Site Recovery's terms. Where it publishes none, those of its successor's closed enumeration are used (Azure's Data
 * Replication service, `ProtectionState`), with descriptions of our own.
 */
export const WORDS: Readonly<Record<ItemState, StateWords>> = {
  Unprotected: words("UnprotectedStatesBegin", "Unprotected", "unchanged"),
  EnablingProtection: words("UnprotectedStatesBegin", "Enabling protection"),
  EnableFailed: words("EnablingFailed", "Enabling protection failed"),
  InitialReplicationInProgress: words("InitialReplicationInProgress", "Initial replication is in progress"),
  InitialReplicationFailed: words("InitialReplicationFailed", "Initial replication failed"),
  RestartingInitialReplication: words("InitialReplicationInProgress", "Initial replication is being started again"),
  Protected: words("Protected", "Protected"),
  ResyncRequired: words("Protected", "Resynchronization required"),
  PreparingResynchronization: words("Protected", "Resynchronization is being prepared"),
  Resynchronizing: words("Protected", "Resynchronization is in progress"),
  TestFailoverInProgress: words("Protected", "Test failover in progress", "Primary", {
    testFailoverState: "TestFailoverInitiated",
    testFailoverStateDescription: "Creating test environment",
  }),
  TestFailoverFailed: words("Protected", "Test failover failed, cleanup pending", "Primary", {
    testFailoverState: "TestFailoverFailed",
    testFailoverStateDescription: "Test failover failed",
  }),
  TestFailoverCleanupPending: words("Protected", "Cleanup test failover pending", "Primary", {
    testFailoverState: "WaitingForCompletion",
    testFailoverStateDescription: "Waiting for user input",
  }),
  TestFailoverCleanupInProgress: words("Protected", "Protected", "Primary", TEST_GOING),
  TestFailoverCleanupFailed: words("Protected", "Test failover cleanup failed", "Primary", {
    testFailoverState: "TestFailoverCompletionFailed",
    testFailoverStateDescription: "Cleaning up test environment failed",
  }),
  FailoverInProgress: words("UnplannedFailoverInitiated", "Failover in progress"),
  FailoverFailed: words("UnplannedFailoverFailed", "Failover failed"),
  CancellingFailover: words("CancelFailoverInProgressOnPrimary", "Cancelling failover", "unchanged"),
  CancelFailoverFailed: words("CancelFailoverFailedOnPrimary", "Cancelling failover failed", "unchanged"),
  FailoverCommitPending: words("UnplannedFailoverCommitPendingStatesBegin", "Failover completed", "Recovery"),
  ChangingRecoveryPoint: words("ChangeRecoveryPointInitiated", "Changing recovery point", "Recovery"),
  ChangeRecoveryPointFailed: words("ChangeRecoveryPointFailed", "Changing recovery point failed", "Recovery"),
  CommittingFailover: words("CommitFailoverInProgressOnPrimary", "Committing failover", "Recovery"),
  CommitFailed: words("CommitFailoverFailedOnPrimary", "Committing failover failed", "Recovery"),
  FailoverCommitted: words("UnplannedFailoverCommitted", "Failover committed", "Recovery"),
  Reprotecting: words("ReprotectInitiated", "Re-protect in progress", "Recovery"),
  ReprotectFailed: words("ReprotectFailed", "Re-protect failed", "Recovery"),
  DisablingProtection: words("DisablingProtection", "Disabling protection", "unchanged"),
  DisableFailed: words("DisablingFailed", "Disabling protection failed", "unchanged"),
};

/** A planned failover has its own terms in some states. */
export const PLANNED_WORDS: Readonly<
  Partial<Record<ItemState, Pick<StateWords, "protectionState" | "protectionStateDescription">>>
> = {
  FailoverInProgress: {
    protectionState: "PlannedFailoverInitiated",
    protectionStateDescription: "Planned failover in progress",
  },
  FailoverFailed: { protectionState: "PlannedFailoverFailed", protectionStateDescription: "Planned failover failed" },
  FailoverCommitPending: {
    protectionState: "PlannedFailoverCommitRequired",
    protectionStateDescription: "Planned failover finished",
  },
  FailoverCommitted: {
    protectionState: "PlannedFailoverStatesBegin",
    protectionStateDescription: "Planned failover committed",
  },
};

/**
 * The item's state as the API shows it. `testResourcesLeft`: the resource ledger still lists resources of a test
 * failover.
 */
export function stateWords(
  {
    state,
    activeLocation,
    failover,
  }: {
    readonly state: ItemState;
    readonly activeLocation: "Primary" | "Recovery";
    readonly failover: "Planned" | "Unplanned" | undefined;
  },
  testResourcesLeft: boolean,
): Pick<StateWords, "protectionState" | "protectionStateDescription"> &
  TestFailoverWords & { readonly activeLocation: string } {
  const { protectionState, protectionStateDescription, testFailover } = WORDS[state];
  const planned = failover === "Planned" ? PLANNED_WORDS[state] : undefined;
  const test = testFailover === NO_TEST && testResourcesLeft ? TEST_GOING : testFailover;
  return { protectionState, protectionStateDescription, ...planned, activeLocation, ...test };
}
