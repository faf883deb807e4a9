import { type HistoryEvent, EventType } from "../history.ts";
import type { Action, Retry } from "./actions.ts";
import { isLong, nextPartAt, retryAt } from "./timing.ts";

/** Something that this episode schedules for the first time, under its sequence id. */
export type Decision =
  | { readonly kind: "activity"; readonly id: number; readonly name: string; readonly input: string | null }
  | {
      readonly kind: "child";
      readonly id: number;
      readonly name: string;
      readonly input: string | null;
      readonly instanceId: string;
      readonly version: string;
    }
  | { readonly kind: "timer"; readonly id: number; readonly fireAtMs: number };

export interface WalkFacts {
  readonly history: readonly HistoryEvent[];
  /** Everything since the start of this execution. */
  readonly actions: readonly Action[];
  readonly executionId: string;
  /** Why a function cannot be called; undefined when it can. */
  readonly missing: (kind: "activity" | "orchestrator", name: string) => string | undefined;
}

/**
 * An external event that the orchestrator awaits in another spelling: the SDK compares exactly, so the event at this
 * index of the history is respelt.
 */
export interface Respelling {
  readonly index: number;
  readonly name: string;
}

export type Walked =
  | { readonly kind: "failed"; readonly reason: string }
  | {
      readonly kind: "walked";
      /** Every action has been performed and has ended. */
      readonly isThrough: boolean;
      readonly decisions: readonly Decision[];
      readonly continueAsNew: { readonly input: string | null } | undefined;
      readonly respellings: readonly Respelling[];
      /** A retry with a time limit was scheduled for the first time. */
      readonly hasRetryTimeout: boolean;
    };

interface Task {
  isSettled: boolean;
  isFailed: boolean;
  /** A cancelled timer does not hold up the rest of its `Task.all`. */
  readonly isCanceled: boolean;
  listener: (() => void) | undefined;
}

interface Walk {
  readonly facts: WalkFacts;
  readonly open: Map<number, Task>;
  /** Scheduled, not (yet) confirmed by the history. */
  readonly decisions: Map<number, Decision>;
  /** By lower-case name; the latest waiter is served first. */
  readonly waiters: Map<string, { readonly task: Task; readonly name: string }[]>;
  /** Events that came before anything awaited them, by lower-case name, oldest first. */
  readonly early: Map<string, { readonly index: number; readonly name: string }[]>;
  readonly respellings: Respelling[];
  readonly limitedRetries: Set<number>;
  /** Settled by the start of the execution. */
  readonly start: Task;
  nextId: number;
  nowMs: number;
  continueAsNew: { readonly input: string | null } | undefined;
  failure: string | undefined;
}

/**
 * Replays the actions against the history, as the real host does: an action is performed, and takes its sequence ids,
 * when the previous one has ended. What the history does not confirm is new. Sequence ids match the SDK's at every
 * step; errors of tasks are the SDK's affair.
 */
export function walk(facts: WalkFacts): Walked {
  const state: Walk = {
    facts,
    open: new Map(),
    decisions: new Map(),
    waiters: new Map(),
    early: new Map(),
    respellings: [],
    limitedRetries: new Set(),
    start: pending(),
    nextId: 0,
    nowMs: 0,
    continueAsNew: undefined,
    failure: undefined,
  };
  let current = state.start;
  let performed = 0;
  for (const [index, event] of facts.history.entries()) {
    feed(state, event, index);
    while (current.isSettled && state.failure === undefined) {
      const action = facts.actions[performed];
      if (action === undefined) break;
      performed += 1;
      current = perform(state, action);
    }
    if (state.failure !== undefined) return { kind: "failed", reason: state.failure };
  }
  return {
    kind: "walked",
    isThrough: current.isSettled && performed === facts.actions.length,
    decisions: [...state.decisions.values()],
    continueAsNew: state.continueAsNew,
    respellings: state.respellings,
    hasRetryTimeout: [...state.limitedRetries].some((id) => state.decisions.has(id)),
  };
}

function feed(state: Walk, event: HistoryEvent, index: number): void {
  switch (event.EventType) {
    case EventType.OrchestratorStarted:
      state.nowMs = Math.max(state.nowMs, Date.parse(event.Timestamp));
      return;
    case EventType.TaskScheduled:
      return confirm(state, event.EventId, "activity", event.Name);
    case EventType.SubOrchestrationInstanceCreated:
      return confirm(state, event.EventId, "child", event.Name);
    case EventType.TimerCreated:
      return confirm(state, event.EventId, "timer", undefined);
    case EventType.EventRaised:
      return raise(state, event.Name, index);
    case EventType.TaskCompleted:
    case EventType.SubOrchestrationInstanceCompleted:
      return close(state, event.TaskScheduledId, false);
    case EventType.TaskFailed:
    case EventType.SubOrchestrationInstanceFailed:
      return close(state, event.TaskScheduledId, true);
    case EventType.TimerFired:
      return close(state, event.TimerId, false);
    case EventType.ExecutionStarted:
      return settle(state.start, false);
    case EventType.ExecutionCompleted:
    case EventType.ExecutionTerminated:
    case EventType.ExecutionSuspended:
    case EventType.ExecutionResumed:
    case EventType.OrchestratorCompleted:
  }
}

/** Settlements of what is not open are ignored. */
function close(state: Walk, id: number, isFailed: boolean): void {
  const task = state.open.get(id);
  if (task === undefined) return;
  state.open.delete(id);
  settle(task, isFailed);
}

const KIND_NAMES = { activity: "an activity task", child: "a sub-orchestration task", timer: "a timer task" };

function confirm(state: Walk, id: number, kind: Decision["kind"], name: string | undefined): void {
  const decision = state.decisions.get(id);
  const now = decision?.kind === "timer" ? undefined : decision?.name;
  if (decision?.kind === kind && now?.toLowerCase() === name?.toLowerCase()) {
    state.decisions.delete(id);
    return;
  }
  const before = `${KIND_NAMES[kind]} with sequence ID ${id}${name === undefined ? "" : ` named '${name}'`}`;
  const instead =
    decision === undefined
      ? "this replay has not scheduled it"
      : `this replay scheduled ${KIND_NAMES[decision.kind]}${now === undefined ? "" : ` named '${now}'`} there`;
  state.failure =
    `Non-Deterministic workflow detected: A previous execution of this orchestration scheduled ${before}, but ${instead}. ` +
    "Was the code of the orchestrator changed after this instance had started, or does it depend on more than its input and results?";
}

function raise(state: Walk, name: string, index: number): void {
  const key = name.toLowerCase();
  const waiter = state.waiters.get(key)?.pop();
  if (waiter === undefined) {
    const early = state.early.get(key) ?? [];
    early.push({ index, name });
    state.early.set(key, early);
    return;
  }
  if (waiter.name !== name) state.respellings.push({ index, name: waiter.name });
  settle(waiter.task, false);
}

function perform(state: Walk, action: Action): Task {
  switch (action.kind) {
    case "activity":
      return repeated(state, action.retry, () => call(state, "activity", action.name, (id) => ({ ...action, id })));
    case "child":
      return repeated(state, action.retry, () =>
        call(state, "orchestrator", action.name, (id) => child(state, action, id)),
      );
    case "timer":
      return timer(state, action.fireAtMs, action.isCanceled);
    case "wait":
      return wait(state, action.eventName);
    case "all":
      return all(action.actions.map((inner) => perform(state, inner)));
    case "any":
      return any(action.actions.map((inner) => perform(state, inner)));
    case "continue-as-new":
      state.continueAsNew = { input: action.input };
      return settled();
    case "refused":
      state.failure ??= action.reason;
      return settled();
  }
}

function call(state: Walk, kind: "activity" | "orchestrator", name: string, decide: (id: number) => Decision): Task {
  state.failure ??= state.facts.missing(kind, name);
  return schedule(state, decide);
}

function child(state: Walk, action: Action & { readonly kind: "child" }, id: number): Decision {
  const instanceId = action.instanceId ?? `${state.facts.executionId}:${id}`;
  return { kind: "child", id, name: action.name, input: action.input, instanceId, version: action.version };
}

function schedule(state: Walk, decide: (id: number) => Decision): Task {
  const id = state.nextId;
  state.nextId += 1;
  const task = pending();
  state.decisions.set(id, decide(id));
  state.open.set(id, task);
  return task;
}

function scheduleTimer(state: Walk, fireAtMs: number): Task {
  return schedule(state, (id) => ({ kind: "timer", id, fireAtMs }));
}

/** Each attempt and each pause takes a sequence id, even the zero-length pause after the last attempt. */
function repeated(state: Walk, retry: Retry | undefined, attempt: () => Task): Task {
  if (retry === undefined) return attempt();
  const whole = pending();
  let failures = 0;
  const tryOnce = (): void => {
    if (failures === 0 && retry.hasTimeout) state.limitedRetries.add(state.nextId);
    const task = attempt();
    whenSettled(task, () => {
      if (!task.isFailed) return settle(whole, false);
      failures += 1;
      whenSettled(scheduleTimer(state, retryAt(retry, failures, state.nowMs)), () => {
        if (failures >= retry.maxAttempts) settle(whole, true);
        else tryOnce();
      });
    });
  };
  tryOnce();
  return whole;
}

function timer(state: Walk, fireAtMs: number, isCanceled: boolean): Task {
  const whole = pending(isCanceled);
  const next = (atMs: number): void => {
    whenSettled(scheduleTimer(state, atMs), () => {
      if (fireAtMs > state.nowMs) next(nextPartAt(fireAtMs, state.nowMs));
      else settle(whole, false);
    });
  };
  if (isLong(fireAtMs, state.nowMs)) next(nextPartAt(fireAtMs, state.nowMs));
  else whenSettled(scheduleTimer(state, fireAtMs), () => settle(whole, false));
  return whole;
}

function wait(state: Walk, name: string): Task {
  const key = name.toLowerCase();
  const early = state.early.get(key)?.shift();
  if (early !== undefined) {
    if (early.name !== name) state.respellings.push({ index: early.index, name });
    return settled();
  }
  const task = pending();
  const waiters = state.waiters.get(key) ?? [];
  waiters.push({ task, name });
  state.waiters.set(key, waiters);
  return task;
}

/** Ends when all have ended, even when one fails earlier: an instance waits for all it has started. */
function all(tasks: readonly Task[]): Task {
  const awaited = tasks.filter((task) => !task.isSettled && !task.isCanceled);
  if (awaited.length === 0) return settled();
  const whole = pending();
  let missing = awaited.length;
  for (const task of awaited) {
    whenSettled(task, () => {
      missing -= 1;
      if (missing === 0) settle(whole, false);
    });
  }
  return whole;
}

/** A cancelled timer among them does not end it, as in the SDK. */
function any(tasks: readonly Task[]): Task {
  const whole = pending();
  for (const task of tasks) {
    whenSettled(task, () => {
      if (!whole.isSettled) settle(whole, false);
    });
  }
  return whole;
}

function pending(isCanceled = false): Task {
  return { isSettled: false, isFailed: false, isCanceled, listener: undefined };
}

function settled(): Task {
  return { isSettled: true, isFailed: false, isCanceled: false, listener: undefined };
}

function settle(task: Task, isFailed: boolean): void {
  task.isSettled = true;
  task.isFailed = isFailed;
  task.listener?.();
}

/** A task has one listener: the compound, the retry or the long timer that it is part of. */
function whenSettled(task: Task, listener: () => void): void {
  if (task.isSettled) listener();
  else task.listener = listener;
}
