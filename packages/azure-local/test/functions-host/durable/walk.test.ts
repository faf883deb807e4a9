import { describe, expect, it } from "vitest";
import { type EventBody, type HistoryEvent, EventType } from "../../../functions-host/durable/history.ts";
import { parseAction } from "../../../functions-host/durable/replay/actions.ts";
import { type Walked, walk } from "../../../functions-host/durable/replay/walk.ts";

const DAY_MS = 24 * 60 * 60_000;
const T0 = Date.parse("2026-01-01T00:00:00.000Z");
const iso = (days: number): string => new Date(T0 + days * DAY_MS).toISOString();

// Actions as the SDK writes them.
const activity = (name: string, input?: unknown) => ({ actionType: 0, functionName: name, input });
const retry = (name: string, maxNumberOfAttempts: number, more: object = {}) => ({
  actionType: 1,
  functionName: name,
  retryOptions: { firstRetryIntervalInMilliseconds: 1000, maxNumberOfAttempts, ...more },
});
const child = (name: string, more: object = {}) => ({ actionType: 2, functionName: name, ...more });
const timer = (days: number, isCanceled = false) => ({ actionType: 5, fireAt: iso(days), isCanceled });
const wait = (name: string) => ({ actionType: 6, externalEventName: name, reason: "ExternalEvent" });
const any = (...compoundActions: unknown[]) => ({ actionType: 11, compoundActions });
const all = (...compoundActions: unknown[]) => ({ actionType: 12, compoundActions });

// Events of a history.
const turn = (days: number): EventBody & { readonly days?: number } => ({
  EventType: EventType.OrchestratorStarted,
  EventId: -1,
  days,
});
const started: EventBody = {
  EventType: EventType.ExecutionStarted,
  EventId: -1,
  Name: "o",
  Version: "",
  Input: null,
  ParentInstance: null,
  OrchestrationInstance: { InstanceId: "i", ExecutionId: "e" },
  Tags: null,
};
const scheduled = (id: number, name: string): EventBody => ({
  EventType: EventType.TaskScheduled,
  EventId: id,
  Name: name,
  Version: "",
  Input: null,
});
const completed = (id: number): EventBody => ({
  EventType: EventType.TaskCompleted,
  EventId: -1,
  TaskScheduledId: id,
  Result: "1",
});
const failed = (id: number): EventBody => ({
  EventType: EventType.TaskFailed,
  EventId: -1,
  TaskScheduledId: id,
  Reason: "r",
  Details: "d",
});
const created = (id: number, days = 0): EventBody => ({
  EventType: EventType.TimerCreated,
  EventId: id,
  FireAt: iso(days),
});
const fired = (id: number, days = 0): EventBody => ({
  EventType: EventType.TimerFired,
  EventId: -1,
  TimerId: id,
  FireAt: iso(days),
});
const begun = (id: number, name: string): EventBody => ({
  EventType: EventType.SubOrchestrationInstanceCreated,
  EventId: id,
  Name: name,
  InstanceId: "c",
  Input: null,
  Version: "",
});
const raised = (name: string): EventBody => ({
  EventType: EventType.EventRaised,
  EventId: -1,
  Name: name,
  Input: null,
});

function walkOf(actions: readonly unknown[], events: readonly EventBody[]): Walked {
  let atMs = T0;
  const history = [started, ...events].map((body): HistoryEvent => {
    const days = (body as { readonly days?: number }).days;
    if (days !== undefined) atMs = T0 + days * DAY_MS;
    return { ...body, IsPlayed: true, Timestamp: new Date(atMs).toISOString() };
  });
  return walk({
    history: [{ EventType: EventType.OrchestratorStarted, EventId: -1, IsPlayed: true, Timestamp: iso(0) }, ...history],
    actions: actions.map(parseAction),
    executionId: "e",
    missing: (kind, name) => (name === "nowhere" ? `no ${kind}` : undefined),
  });
}

/** What is new, as short text, and `through` when every action has ended. */
function outcome(walked: Walked): readonly string[] {
  if (walked.kind === "failed") return [`failed: ${walked.reason}`];
  const decisions = walked.decisions.map((decision) => {
    if (decision.kind === "timer") return `${decision.id} timer ${(decision.fireAtMs - T0) / DAY_MS}`;
    return decision.kind === "activity"
      ? `${decision.id} ${decision.name}`
      : `${decision.id} ${decision.name} as ${decision.instanceId}`;
  });
  return [...decisions, ...(walked.isThrough ? ["through"] : [])];
}

const SECOND = 1000 / DAY_MS;

describe("the walk beside the history", () => {
  it.each<[string, readonly unknown[], readonly EventBody[], readonly string[]]>([
    ["nothing", [], [], ["through"]],
    ["an activity, new", [activity("a")], [], ["0 a"]],
    ["an activity, under way", [activity("a")], [scheduled(0, "a")], []],
    [
      "the next activity when the first has ended",
      [activity("a"), activity("b")],
      [scheduled(0, "a"), completed(0)],
      ["1 b"],
    ],
    [
      "the next one also after a failure, which the SDK handles",
      [activity("a"), activity("b")],
      [scheduled(0, "a"), failed(0)],
      ["1 b"],
    ],
    ["the end", [activity("a")], [scheduled(0, "a"), completed(0)], ["through"]],
    ["numbers of actions as text", [{ ...activity("a"), actionType: "0" }], [], ["0 a"]],
    ["names in another case", [activity("A")], [scheduled(0, "a")], []],
    ["a settlement of what is not open", [activity("a")], [scheduled(0, "a"), completed(7)], []],
    ["a second settlement", [activity("a"), activity("b")], [scheduled(0, "a"), completed(0), completed(0)], ["1 b"]],
    ["a sub-orchestration under an id of its own making", [child("c")], [], ["0 c as e:0"]],
    ["a sub-orchestration under a given id", [child("c", { instanceId: "mine" })], [], ["0 c as mine"]],
    ["a sub-orchestration, under way", [child("c")], [begun(0, "c")], []],
    ["a timer", [timer(1)], [], ["0 timer 1"]],
    ["a timer that has fired", [timer(1), activity("a")], [created(0), turn(1), fired(0)], ["1 a"]],
    ["a timer of exactly six days in one piece", [timer(6)], [], ["0 timer 6"]],
    ["a longer one in parts of three days", [timer(7)], [], ["0 timer 3"]],
    ["... the rest in one piece when six days are left", [timer(7)], [created(0), turn(3), fired(0)], ["1 timer 7"]],
    [
      "... and again in parts while more is left",
      [timer(20)],
      [created(0), turn(3), fired(0), created(1), turn(6), fired(1)],
      ["2 timer 9"],
    ],
    [
      "... over at once when the machine was off meanwhile",
      [timer(20), activity("a")],
      [created(0), turn(30), fired(0)],
      ["1 a"],
    ],
    ["a wait without an event", [wait("go")], [], []],
    ["a wait and its event", [wait("go"), activity("a")], [raised("go")], ["0 a"]],
    [
      "an event that came before",
      [activity("a"), wait("go")],
      [raised("go"), scheduled(0, "a"), completed(0)],
      ["through"],
    ],
    ["an event for somebody else", [wait("go")], [raised("stop")], []],
    [
      "all of several, new",
      [all(activity("a"), timer(1), child("c"), wait("w"))],
      [],
      ["0 a", "1 timer 1", "2 c as e:2"],
    ],
    [
      "all of several, one missing",
      [all(activity("a"), activity("b"))],
      [scheduled(0, "a"), scheduled(1, "b"), completed(1)],
      [],
    ],
    [
      "all of several after one has failed: the others are waited for",
      [all(activity("a"), activity("b")), activity("c")],
      [scheduled(0, "a"), scheduled(1, "b"), failed(0)],
      [],
    ],
    [
      "all of several with a cancelled timer",
      [all(activity("a"), timer(1, true))],
      [scheduled(0, "a"), created(1), failed(0)],
      ["through"],
    ],
    [
      "any of several",
      [any(activity("a"), timer(1)), activity("b")],
      [scheduled(0, "a"), created(1), completed(0)],
      ["2 b"],
    ],
    ["any of several, none yet, though its timer is cancelled", [any(wait("go"), timer(1, true))], [created(0)], []],
    [
      "a late fire of a cancelled timer",
      [any(wait("go"), timer(1, true)), wait("x")],
      [created(0), raised("go"), turn(1), fired(0)],
      [],
    ],
    [
      "compounds inside compounds",
      [all(any(activity("a"), activity("b")), activity("c")), activity("d")],
      [scheduled(0, "a"), scheduled(1, "b"), scheduled(2, "c"), completed(1), completed(2)],
      ["3 d"],
    ],
    ["the first attempt of a retry", [retry("a", 3)], [], ["0 a"]],
    ["the pause after a failure", [retry("a", 3)], [scheduled(0, "a"), failed(0)], [`1 timer ${SECOND}`]],
    ["the second attempt", [retry("a", 3)], [scheduled(0, "a"), failed(0), created(1), fired(1)], ["2 a"]],
    [
      "a success on the second attempt",
      [retry("a", 3), activity("b")],
      [scheduled(0, "a"), failed(0), created(1), fired(1), scheduled(2, "a"), completed(2)],
      ["3 b"],
    ],
    ["the timer of no length after the last attempt", [retry("a", 1)], [scheduled(0, "a"), failed(0)], ["1 timer 0"]],
    [
      "the end of a retry that was exhausted",
      [retry("a", 1), activity("b")],
      [scheduled(0, "a"), failed(0), created(1), fired(1)],
      ["2 b"],
    ],
    [
      "a growing pause",
      [retry("a", 9, { backoffCoefficient: 3 })],
      [scheduled(0, "a"), failed(0), created(1), fired(1), scheduled(2, "a"), failed(2)],
      [`3 timer ${3 * SECOND}`],
    ],
    [
      "a pause that grows no further",
      [retry("a", 9, { backoffCoefficient: 3, maxRetryIntervalInMilliseconds: 2000 })],
      [scheduled(0, "a"), failed(0), created(1), fired(1), scheduled(2, "a"), failed(2)],
      [`3 timer ${2 * SECOND}`],
    ],
    [
      "retries side by side take their ids in the order of what happens",
      [all(retry("a", 2), retry("b", 2))],
      [
        scheduled(0, "a"),
        scheduled(1, "b"),
        failed(1),
        created(2),
        failed(0),
        created(3),
        fired(3),
        scheduled(4, "a"),
        fired(2),
      ],
      ["5 b"],
    ],
    [
      "a retried sub-orchestration under a new id each time",
      [{ ...retry("c", 2), actionType: 3 }],
      [
        begun(0, "c"),
        { ...failed(0), EventType: EventType.SubOrchestrationInstanceFailed } as EventBody,
        created(1),
        fired(1),
      ],
      ["2 c as e:2"],
    ],
  ])("finds %s", (_what, actions, events, expected) => {
    expect(outcome(walkOf(actions, events))).toEqual(expected);
  });

  it("gives an event to the latest of two waiters, so that an abandoned one consumes nothing", () => {
    const loop = [any(wait("go"), timer(1)), any(wait("go"), timer(2)), activity("a")];
    expect(outcome(walkOf(loop, [created(0), turn(1), fired(0), created(1), raised("go")]))).toEqual(["2 a"]);
  });

  it("gives the oldest of two early events to the first waiter", () => {
    const walked = walkOf([wait("GO"), wait("go")], [raised("Go"), raised("go")]);
    // The index counts the two events before it: the start of the turn and of the execution.
    expect(walked).toMatchObject({ isThrough: true, respellings: [{ index: 2, name: "GO" }] });
  });

  it("writes an event's name in the case in which it is awaited", () => {
    expect(walkOf([wait("Go")], [raised("GO")])).toMatchObject({ respellings: [{ index: 2, name: "Go" }] });
  });

  it("remembers the input of continueAsNew, with what was decided beside it", () => {
    const walked = walkOf([activity("a"), { actionType: 4, input: { n: 1 } }], [scheduled(0, "a"), completed(0)]);
    expect(walked).toMatchObject({ isThrough: true, continueAsNew: { input: '{"n":1}' }, decisions: [] });
  });

  it("passes text inputs on as the SDK encoded them, and encodes everything else once", () => {
    const inputs = [activity("a", '"text"'), activity("a", { n: 1 }), activity("a")].map((action) =>
      parseAction(action),
    );
    expect(inputs.map((action) => (action.kind === "activity" ? action.input : undefined))).toEqual([
      '"text"',
      '{"n":1}',
      null,
    ]);
    expect(parseAction({ actionType: 4, input: '"text"' })).toEqual({ kind: "continue-as-new", input: '"text"' });
    expect(parseAction({ actionType: 2, functionName: "c", input: "text" })).toMatchObject({ input: '"text"' });
  });

  it("says when a retry with a limit of time is scheduled, once", () => {
    const limited = [retry("a", 2, { retryTimeoutInMilliseconds: 5 })];
    expect(walkOf(limited, [])).toMatchObject({ hasRetryTimeout: true });
    expect(walkOf(limited, [scheduled(0, "a")])).toMatchObject({ hasRetryTimeout: false });
  });
});

describe("a history that the code does not lead to any more", () => {
  const why =
    "Was the code of the orchestrator changed after this instance had started, or does it depend on more than its input and results?";
  it.each<[string, readonly unknown[], readonly EventBody[], string]>([
    [
      "another name",
      [activity("b")],
      [scheduled(0, "a")],
      "an activity task with sequence ID 0 named 'a', but this replay scheduled an activity task named 'b' there",
    ],
    [
      "another kind",
      [timer(1)],
      [scheduled(0, "a")],
      "an activity task with sequence ID 0 named 'a', but this replay scheduled a timer task there",
    ],
    [
      "nothing",
      [],
      [scheduled(0, "a")],
      "an activity task with sequence ID 0 named 'a', but this replay has not scheduled it",
    ],
    [
      "an activity for a timer",
      [activity("a")],
      [created(0)],
      "a timer task with sequence ID 0, but this replay scheduled an activity task named 'a' there",
    ],
    [
      "another child",
      [child("d")],
      [begun(0, "c")],
      "a sub-orchestration task with sequence ID 0 named 'c', but this replay scheduled a sub-orchestration task named 'd' there",
    ],
  ])("fails the instance: %s", (_what, actions, events, text) => {
    const reason = `Non-Deterministic workflow detected: A previous execution of this orchestration scheduled ${text}. ${why}`;
    expect(walkOf(actions, events)).toEqual({ kind: "failed", reason });
  });
});

describe("what cannot be called", () => {
  it.each([
    ["an unknown activity", activity("nowhere"), "no activity"],
    ["an unknown sub-orchestration", child("nowhere"), "no orchestrator"],
    [
      "an entity",
      { actionType: 7, instanceId: "@counter@a", operation: "add" },
      "The function 'counter' doesn't exist, is disabled, or is not an entity function.",
    ],
    [
      "a signal to an entity",
      { actionType: 9, instanceId: "@counter@a", operation: "add" },
      "is not an entity function.",
    ],
    [
      "an HTTP request",
      { actionType: 8, httpRequest: { method: "GET", uri: "http://x" } },
      "callHttp is not offered by the local Functions host",
    ],
  ])("fails the instance when the walk reaches it: %s", (_what, action, text) => {
    expect(walkOf([action], [])).toEqual({ kind: "failed", reason: expect.stringContaining(text) });
    expect(walkOf([wait("go"), action], [])).toMatchObject({ kind: "walked" });
  });

  it("refuses actions without a known number", () => {
    expect(() => parseAction({ actionType: 13 })).toThrow("unexpected action type");
  });
});
