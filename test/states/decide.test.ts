import { describe, expect, it } from "vitest";
import {
  type Situation,
  UNPROTECTED,
  allowedOperations,
  decideFact,
  decideOperation,
  decideOutcome,
  isItemState,
  refusalError,
} from "../../replication/states/decide.ts";
import type { Operation, Outcome, ReplicationFact } from "../../replication/states/states.ts";
import { stateWords } from "../../replication/states/words.ts";

const isOutcome = (event: string): event is Outcome => event === "JobSucceeded" || event === "JobFailed";
const isFact = (event: string): event is ReplicationFact =>
  ["SeedingComplete", "SeedingUnderWay", "ResyncNeeded"].includes(event);

/** The situation after these events; every operation must be allowed. */
function after(...events: readonly (Operation | Outcome | ReplicationFact)[]): Situation {
  return events.reduce<Situation>((situation, event, at) => {
    if (isOutcome(event)) return decideOutcome(situation, situation.job?.jobId ?? "", event);
    if (isFact(event)) return decideFact(situation, event);
    const decision = decideOperation(situation, event, `job ${at}`);
    if (decision.kind !== "started") throw new Error(`${event} in ${situation.state}: ${decision.kind}`);
    return decision.situation;
  }, UNPROTECTED);
}

const PROTECTED = ["EnableProtection", "JobSucceeded", "SeedingComplete"] as const;
const FAILED_OVER = [...PROTECTED, "UnplannedFailover", "JobSucceeded"] as const;

describe("the life of an item", () => {
  it("is protected, fails over, is committed, re-protected and fails back by the same operations", () => {
    const reprotected = [
      ...FAILED_OVER,
      "Commit",
      "JobSucceeded",
      "SwitchProtection",
      "JobSucceeded",
      "SeedingComplete",
    ] as const;
    expect(after(...reprotected)).toEqual({
      state: "Protected",
      activeLocation: "Primary",
      failover: undefined,
      job: undefined,
    });
    expect(after(...reprotected, "UnplannedFailover", "JobSucceeded", "Commit", "JobSucceeded").state).toBe(
      "FailoverCommitted",
    );
  });

  it("the request that was sent twice starts nothing a second time", () => {
    const running = after(...PROTECTED, "UnplannedFailover");
    expect(decideOperation(running, "UnplannedFailover", running.job?.jobId ?? "")).toEqual({
      kind: "repeated",
      situation: running,
    });
  });

  it("a job that was taken over from, or that reports twice, is not heard", () => {
    const drill = after(...PROTECTED, "TestFailover");
    const failover = decideOperation(drill, "UnplannedFailover", "emergency");
    if (failover.kind !== "started") throw new Error("refused");
    expect(failover.endsJobId).toBe(drill.job?.jobId);
    expect(decideOutcome(failover.situation, drill.job?.jobId ?? "", "JobFailed")).toBe(failover.situation);
    const done = decideOutcome(failover.situation, "emergency", "JobSucceeded");
    expect(done.state).toBe("FailoverCommitPending");
    expect(decideOutcome(done, "emergency", "JobFailed")).toBe(done);
  });

  it("a resynchronization that became necessary during a test failover is seen after its clean-up", () => {
    const open = after(...PROTECTED, "TestFailover", "JobSucceeded", "ResyncNeeded");
    expect(open.state).toBe("TestFailoverCleanupPending");
    expect(
      after(...PROTECTED, "TestFailover", "JobSucceeded", "TestFailoverCleanup", "JobSucceeded", "ResyncNeeded").state,
    ).toBe("ResyncRequired");
  });

  it("a refusal says why and what is possible", () => {
    const decision = decideOperation(after(...FAILED_OVER, "Commit", "JobSucceeded"), "ChangePit", "x");
    if (decision.kind !== "refused") throw new Error("not refused");
    expect(refusalError("vm-1", "FailoverCommitted", "ChangePit", decision)).toMatchObject({
      code: "operation-not-allowed",
      retryable: false,
      message: "ChangePit is not possible now: The failover is committed; its recovery points are gone.",
      hint: "Possible now: DisableProtection, SwitchProtection.",
      facts: { itemId: "vm-1", reason: "already-committed", allowedOperations: "DisableProtection, SwitchProtection" },
    });
    const busy = decideOperation(after(...FAILED_OVER, "Commit"), "ChangePit", "x");
    if (busy.kind !== "refused") throw new Error("not refused");
    expect(refusalError("vm-1", "CommittingFailover", "ChangePit", busy).hint).toBe(
      "Nothing is possible until the running job ends.",
    );
  });

  it("knows its own names", () => {
    expect(["Protected", "protected", "toString"].map(isItemState)).toEqual([true, false, false]);
  });
});

describe("Site Recovery's words", () => {
  const rows = [
    [
      2,
      ["EnableProtection", "JobSucceeded"],
      "InitialReplicationInProgress",
      "Initial replication is in progress",
      "Primary",
      "None",
    ],
    [3, PROTECTED, "Protected", "Protected", "Primary", "None"],
    [
      4,
      [...PROTECTED, "TestFailover", "JobSucceeded"],
      "Protected",
      "Cleanup test failover pending",
      "Primary",
      "WaitingForCompletion",
    ],
    [
      5,
      [...PROTECTED, "TestFailover", "JobSucceeded", "TestFailoverCleanup"],
      "Protected",
      "Protected",
      "Primary",
      "MarkedForDeletion",
    ],
    [6, FAILED_OVER, "UnplannedFailoverCommitPendingStatesBegin", "Failover completed", "Recovery", "None"],
    [
      60,
      [...PROTECTED, "PlannedFailover", "JobSucceeded"],
      "PlannedFailoverCommitRequired",
      "Planned failover finished",
      "Recovery",
      "None",
    ],
    [
      8,
      [...FAILED_OVER, "Commit", "JobSucceeded"],
      "UnplannedFailoverCommitted",
      "Failover committed",
      "Recovery",
      "None",
    ],
    [
      9,
      [...FAILED_OVER, "Commit", "JobSucceeded", "SwitchProtection", "JobSucceeded"],
      "InitialReplicationInProgress",
      "Initial replication is in progress",
      "Primary",
      "None",
    ],
  ] as const;
  it.each(rows)(
    "row %i",
    (_row, events, protectionState, protectionStateDescription, activeLocation, testFailoverState) => {
      expect(stateWords(after(...events), false)).toMatchObject({
        protectionState,
        protectionStateDescription,
        activeLocation,
        testFailoverState,
      });
    },
  );

  it("its allowed operations in the steady state and after a failover are there", () => {
    expect(allowedOperations("Protected")).toEqual(
      expect.arrayContaining(["UnplannedFailover", "DisableProtection", "TestFailover"]),
    );
    expect(allowedOperations("InitialReplicationInProgress")).toEqual(["DisableProtection"]);
    expect(allowedOperations("FailoverCommitPending")).toEqual(
      expect.arrayContaining(["Commit", "ChangePit", "DisableProtection"]),
    );
  });

  it("what is left of a test failover that a failover took over is marked for deletion", () => {
    const failedOver = after(...PROTECTED, "TestFailover", "JobSucceeded", "UnplannedFailover", "JobSucceeded");
    expect(stateWords(failedOver, true).testFailoverState).toBe("MarkedForDeletion");
    expect(stateWords(after(...PROTECTED, "TestFailover"), true).testFailoverState).toBe("TestFailoverInitiated");
  });
});
