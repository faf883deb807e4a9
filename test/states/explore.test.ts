import { describe, expect, it } from "vitest";
import {
  type Situation,
  UNPROTECTED,
  allowedOperations,
  decideFact,
  decideOperation,
  decideOutcome,
} from "../../replication/states/decide.ts";
import {
  FACTS,
  type Flow,
  ITEM_EVENTS,
  ITEM_STATES,
  type ItemState,
  OPERATIONS,
  OUTCOMES,
  STATE_KINDS,
} from "../../replication/states/states.ts";
import { TRANSITIONS } from "../../replication/states/table.ts";

/** One step of the exploration. */
interface Step {
  readonly from: Situation;
  readonly event: string;
  readonly to: Situation;
}

/** Job ids in the exploration carry the flow only: all that a situation can differ in. */
const jobOf = (flow: string): string => `job of ${flow}`;

/** Every step that any event can make from here. */
function steps(from: Situation): readonly Step[] {
  const operations = OPERATIONS.flatMap((operation) => {
    const decision = decideOperation(from, operation, `request ${operation}`);
    if (decision.kind !== "started") return [];
    const to = { ...decision.situation, job: { jobId: jobOf(decision.flow), flow: decision.flow } };
    return [{ from, event: operation, to }];
  });
  const outcomes = OUTCOMES.map((outcome) => ({
    from,
    event: outcome,
    to: decideOutcome(from, from.job?.jobId ?? "no job", outcome),
  }));
  const facts = FACTS.map((fact) => ({ from, event: fact, to: decideFact(from, fact) }));
  return [...operations, ...outcomes, ...facts];
}

/** Everything that can ever happen to an item, breadth first. */
function explore(): { readonly situations: readonly Situation[]; readonly taken: readonly Step[] } {
  const seen = new Map<string, Situation>([[JSON.stringify(UNPROTECTED), UNPROTECTED]]);
  const waiting: Situation[] = [UNPROTECTED];
  const taken: Step[] = [];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    for (const step of steps(next)) {
      taken.push(step);
      const key = JSON.stringify(step.to);
      if (seen.has(key)) continue;
      seen.set(key, step.to);
      waiting.push(step.to);
    }
  }
  return { situations: [...seen.values()], taken };
}

const { situations, taken } = explore();
const ofKind = (...kinds: readonly string[]): readonly ItemState[] =>
  ITEM_STATES.filter((state) => kinds.includes(STATE_KINDS[state]));

/** The states from which `goal` can be reached over these steps. */
function canReach(goal: ItemState, over: readonly Step[]): ReadonlySet<ItemState> {
  const found = new Set<ItemState>([goal]);
  for (let size = 0; size !== found.size;) {
    size = found.size;
    for (const { from, to } of over) if (found.has(to.state)) found.add(from.state);
  }
  return found;
}

describe("everything that can happen to a protected item", () => {
  it("reaches every state", () => {
    expect(new Set(situations.map(({ state }) => state))).toEqual(new Set(ITEM_STATES));
  });

  it("has a rule for every state and event, and no rule for others", () => {
    expect(Object.keys(TRANSITIONS).toSorted()).toEqual([...ITEM_STATES].toSorted());
    for (const state of ITEM_STATES)
      expect(Object.keys(TRANSITIONS[state]).toSorted()).toEqual([...ITEM_EVENTS].toSorted());
  });

  it("operations start or are refused; outcomes and facts move or are ignored", () => {
    for (const state of ITEM_STATES) {
      for (const operation of OPERATIONS) expect(["start", "refuse"]).toContain(TRANSITIONS[state][operation].kind);
      for (const event of [...OUTCOMES, ...FACTS]) expect(["move", "ignore"]).toContain(TRANSITIONS[state][event].kind);
    }
  });

  it("a job runs exactly in the states that a job ends, and both of its outcomes end them", () => {
    for (const { state, job } of situations)
      expect([state, job !== undefined]).toEqual([state, STATE_KINDS[state] === "flow"]);
    for (const state of ITEM_STATES) {
      const moves = OUTCOMES.map((outcome) => TRANSITIONS[state][outcome].kind);
      expect([state, ...moves]).toEqual([
        state,
        ...(STATE_KINDS[state] === "flow" ? ["move", "move"] : ["ignore", "ignore"]),
      ]);
    }
  });

  it("every flow leads into a state of its own kind, and each state of a job has one flow, but for the two kinds of failover", () => {
    const flows = new Map<ItemState, Set<Flow>>();
    for (const { state, job } of situations)
      if (job !== undefined) flows.set(state, (flows.get(state) ?? new Set()).add(job.flow));
    for (const [state, found] of flows)
      expect([state, found.size]).toEqual([state, state === "FailoverInProgress" ? 2 : 1]);
  });

  it("no state is a dead end: from everywhere the item can become protected again, and can be given up", () => {
    for (const state of ITEM_STATES) {
      expect(canReach("Protected", taken)).toContain(state);
      expect(canReach("Unprotected", taken)).toContain(state);
    }
  });

  it("gets out of every failure by operations and jobs alone, whatever replication reports or does not report", () => {
    const withoutFacts = taken.filter(({ event }) => !FACTS.some((fact) => fact === event));
    for (const state of ITEM_STATES) expect(canReach("Unprotected", withoutFacts)).toContain(state);
    for (const state of ofKind("failed"))
      expect([state, allowedOperations(state).length > 1 || state === "DisableFailed"]).toEqual([state, true]);
  });

  it("disabling is possible wherever no job runs, and also when enabling or re-protecting does not end", () => {
    for (const state of ofKind("settled", "seeding", "failed"))
      expect([state, allowedOperations(state)]).toEqual([state, expect.arrayContaining(["DisableProtection"])]);
    for (const state of ["EnablingProtection", "RestartingInitialReplication", "Reprotecting"] as const) {
      expect(allowedOperations(state)).toContain("DisableProtection");
    }
  });

  it("a failed job can be tried again: the state after it allows the operation that began it", () => {
    for (const { from, event, to } of taken) {
      if (event !== "JobFailed" || from.job === undefined || from.state === to.state) continue;
      const flow = from.job.flow;
      const again = OPERATIONS.filter((operation) => {
        const transition = TRANSITIONS[to.state][operation];
        return transition.kind === "start" && transition.flow === flow;
      });
      // A failed test failover is cleaned up before the next one.
      expect([from.state, flow, again.length]).toEqual([from.state, flow, flow === "test-failover" ? 0 : 1]);
    }
    expect(allowedOperations("TestFailoverFailed")).toContain("TestFailoverCleanup");
  });

  it("does nothing that the table refuses, and shows everything that it allows", () => {
    for (const situation of situations) {
      for (const operation of OPERATIONS) {
        const { kind } = decideOperation(situation, operation, "another job");
        expect(kind).toBe(allowedOperations(situation.state).includes(operation) ? "started" : "refused");
      }
    }
  });

  it("a real failover is possible whenever there are points and none is under way: in a drill, in any state of it, and during a resynchronization", () => {
    const withPoints: readonly ItemState[] = [
      "Protected",
      "ResyncRequired",
      "PreparingResynchronization",
      "Resynchronizing",
      "TestFailoverInProgress",
      "TestFailoverFailed",
      "TestFailoverCleanupPending",
      "TestFailoverCleanupInProgress",
      "TestFailoverCleanupFailed",
      "FailoverFailed",
      "CancelFailoverFailed",
    ];
    expect(ITEM_STATES.filter((state) => allowedOperations(state).includes("UnplannedFailover"))).toEqual(withPoints);
  });

  it("a planned failover starts only where nothing else is open, or where one of both kinds is tried again", () => {
    expect(ITEM_STATES.filter((state) => allowedOperations(state).includes("PlannedFailover"))).toEqual([
      "Protected",
      "FailoverFailed",
    ]);
  });

  it("a failover that takes over from a job names it, so that it is ended first", () => {
    const drill = situations.find(({ state }) => state === "TestFailoverInProgress") ?? UNPROTECTED;
    expect(decideOperation(drill, "UnplannedFailover", "f")).toMatchObject({
      kind: "started",
      endsJobId: drill.job?.jobId,
    });
    const idle = situations.find(({ state }) => state === "Protected") ?? UNPROTECTED;
    expect(decideOperation(idle, "UnplannedFailover", "f")).toMatchObject({ kind: "started", endsJobId: undefined });
  });

  it("two failovers at once are refused", () => {
    for (const situation of situations.filter(({ state }) => state === "FailoverInProgress")) {
      for (const operation of ["UnplannedFailover", "PlannedFailover", "TestFailover"] as const) {
        expect(decideOperation(situation, operation, "second")).toMatchObject({
          kind: "refused",
          reason: "busy",
          allowedOperations: ["CancelFailover"],
        });
      }
    }
  });

  it("recovery points are committed away only while the machine stands in the target region", () => {
    expect(ITEM_STATES.filter((state) => allowedOperations(state).includes("Commit"))).toEqual([
      "FailoverCommitPending",
      "CommitFailed",
    ]);
    const commits = taken.filter(({ to }) => to.state === "FailoverCommitted");
    expect(new Set(commits.map(({ from }) => from.activeLocation))).toEqual(new Set(["Recovery"]));
  });

  it("users' work is in the target region from the end of a failover until it is re-protected, cancelled or disabled", () => {
    const places = new Map<ItemState, Set<string>>();
    for (const { state, activeLocation } of situations)
      places.set(state, (places.get(state) ?? new Set()).add(activeLocation));
    const recovery = ITEM_STATES.filter((state) => places.get(state)?.has("Recovery") === true);
    expect(recovery).toEqual([
      "Unprotected",
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
    ]);
  });

  it("an item knows the kind of its failover as long as there is one, and only then", () => {
    const kindsIn = (...states: readonly ItemState[]): ReadonlySet<unknown> =>
      new Set(situations.filter(({ state }) => states.includes(state)).map(({ failover }) => failover));
    const both = new Set(["Unplanned", "Planned"]);
    expect(kindsIn("FailoverInProgress")).toEqual(both);
    expect(kindsIn("FailoverFailed", "FailoverCommitPending", "FailoverCommitted", "Reprotecting")).toEqual(both);
    expect(kindsIn("Protected", "InitialReplicationInProgress", "Unprotected", "TestFailoverCleanupPending")).toEqual(
      new Set([undefined]),
    );
  });
});
