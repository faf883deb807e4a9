import {
  EventType,
  type EventBody,
  type ExecutionStarted,
  type FailureDetails,
  type ParentInstance,
} from "../history.ts";
import type { Next } from "../replay/decide.ts";
import type { Decision } from "../replay/walk.ts";
import type { Batch, InstanceRow, Message, Status, Work } from "../stores/store.ts";
import { type LiveInstance, type Recorded, record } from "./instance.ts";

/** Where ids come from: rising numbers for messages and work, random text for executions. */
export interface Ids {
  next(): number;
  execution(): string;
}

/** An episode with everything about it decided. */
export interface Episode {
  readonly instance: LiveInstance;
  /** Includes respelt events. */
  readonly past: readonly Recorded[];
  /** What this episode has taken up, OrchestratorStarted included. */
  readonly taken: readonly Recorded[];
  readonly consumed: ReadonlySet<number>;
  readonly decisions: readonly Decision[];
  readonly next: Next | { readonly kind: "terminate"; readonly reason: string } | { readonly kind: "suspend" };
  /** JSON text; undefined: unchanged. */
  readonly customStatus: string | null | undefined;
  readonly nowMs: number;
}

/** The result of an episode: the batch for the store, and the same for memory once it is stored. */
export interface Conclusion {
  readonly batch: Batch;
  readonly row: InstanceRow;
  readonly history: readonly Recorded[];
  /** Sub-orchestrations to start. */
  readonly children: readonly InstanceRow[];
  readonly messages: readonly Message[];
  readonly work: readonly Work[];
}

/**
 * Why a sub-orchestration cannot have this instance id; undefined when it can. `isEnded`: an ended one that it
 * replaces.
 */
export type Placement =
  | { readonly kind: "free"; readonly isEnded: boolean }
  | { readonly kind: "refused"; readonly reason: string };

/** Makes one atomic step of an episode: all that it consumed, recorded and triggered. Pure but for the ids. */
export function conclude(episode: Episode, ids: Ids, place: (instanceId: string) => Placement): Conclusion {
  const { instance, nowMs } = episode;
  const effects: Effects = { children: [], replaced: [], inputs: [], messages: [], work: [] };
  const isEnd = episode.next.kind !== "wait" && episode.next.kind !== "suspend";
  const bodies = episode.decisions.map((decision) => carryOut(decision, episode, isEnd, effects, ids, place));
  const { row, ending } = turn(episode, effects, ids);
  const completed: EventBody = { EventType: EventType.OrchestratorCompleted, EventId: -1 };
  const added = [...bodies, ...(ending === undefined ? [] : [ending]), completed].map((body) => record(body, nowMs));
  const isNewExecution = row.executionId !== instance.row.executionId;
  const history = isNewExecution ? [] : [...episode.past, ...episode.taken, ...added];
  const changed = history.flatMap((recorded, index) => {
    if (instance.history[index] === recorded) return [];
    return [{ instanceId: row.id, index, event: recorded.text }];
  });
  // Timers of an ended execution would only be ignored when they fire.
  const removed = isEnd ? [...episode.consumed, ...instance.timers] : [...episode.consumed];
  const batch: Batch = {
    removedInstances: effects.replaced,
    clearedHistories: isNewExecution ? [row.id] : [],
    removedMessages: removed,
    instances: [row, ...effects.children],
    inputs: effects.inputs,
    outputs: ending === undefined ? [] : [{ instanceId: row.id, output: ending.Result }],
    history: changed,
    messages: effects.messages,
    work: effects.work,
  };
  return { batch, row, history, children: effects.children, messages: effects.messages, work: effects.work };
}

interface Effects {
  readonly children: InstanceRow[];
  readonly replaced: string[];
  readonly inputs: { readonly instanceId: string; readonly input: string | null }[];
  readonly messages: Message[];
  readonly work: Work[];
}

function carryOut(
  decision: Decision,
  episode: Episode,
  isEnd: boolean,
  effects: Effects,
  ids: Ids,
  place: (instanceId: string) => Placement,
): EventBody {
  const { id: instanceId, executionId } = episode.instance.row;
  const own = { instanceId, executionId };
  switch (decision.kind) {
    case "activity": {
      const { id: taskId, name, input } = decision;
      effects.work.push({ id: ids.next(), ...own, taskId, name, input });
      return { EventType: EventType.TaskScheduled, EventId: taskId, Name: name, Version: "", Input: input };
    }
    case "timer": {
      const { id: timerId, fireAtMs } = decision;
      const FireAt = new Date(fireAtMs).toISOString();
      const fired: EventBody = { EventType: EventType.TimerFired, EventId: -1, TimerId: timerId, FireAt };
      if (!isEnd) effects.messages.push({ id: ids.next(), ...own, dueMs: fireAtMs, event: fired });
      return { EventType: EventType.TimerCreated, EventId: timerId, FireAt };
    }
    case "child": {
      const { id: taskId, name, input, version } = decision;
      const placed = effects.children.some((child) => child.id === decision.instanceId)
        ? TAKEN
        : place(decision.instanceId);
      if (placed.kind === "refused") {
        const failed = {
          EventType: EventType.SubOrchestrationInstanceFailed,
          EventId: -1,
          TaskScheduledId: taskId,
        } as const;
        effects.messages.push({ id: ids.next(), ...own, event: { ...failed, Reason: placed.reason, Details: "" } });
      } else {
        const parent: ParentInstance = {
          Name: episode.instance.row.name,
          OrchestrationInstance: { InstanceId: instanceId, ExecutionId: executionId },
          TaskScheduleId: taskId,
        };
        const begun = begin({ id: decision.instanceId, name, version, input, parent, nowMs: episode.nowMs }, ids);
        if (placed.isEnded) effects.replaced.push(decision.instanceId);
        effects.children.push(begun.row);
        effects.inputs.push({ instanceId: decision.instanceId, input });
        effects.messages.push(begun.message);
      }
      const created = {
        EventType: EventType.SubOrchestrationInstanceCreated,
        EventId: taskId,
        Name: name,
        Version: version,
      } as const;
      return { ...created, InstanceId: decision.instanceId, Input: input };
    }
  }
}

const TAKEN: Placement = { kind: "refused", reason: "Two sub-orchestrations of one step have the same instance ID." };

interface Ended {
  readonly EventType: typeof EventType.ExecutionCompleted;
  readonly EventId: number;
  readonly OrchestrationStatus: Status;
  readonly Result: string | null;
}

/** The instance after the episode, and the event that ends it. */
function turn(
  episode: Episode,
  effects: Effects,
  ids: Ids,
): { readonly row: InstanceRow; readonly ending: Ended | undefined } {
  const { instance, next, nowMs } = episode;
  const { row } = instance;
  const customStatus = episode.customStatus === undefined ? row.customStatus : episode.customStatus;
  const ended = (status: Status, result: string | null, failureDetails?: FailureDetails) => {
    if (row.parent !== null) effects.messages.push(report(row.parent, status, result, failureDetails, ids));
    const ending: Ended = {
      EventType: EventType.ExecutionCompleted,
      EventId: -1,
      OrchestrationStatus: status,
      Result: result,
    };
    return { row: { ...row, status, customStatus, updatedMs: nowMs }, ending };
  };
  switch (next.kind) {
    case "wait":
      return { row: { ...row, status: "Running", customStatus, updatedMs: nowMs }, ending: undefined };
    case "suspend":
      return { row: { ...row, status: "Suspended", updatedMs: nowMs }, ending: undefined };
    case "complete":
      return ended("Completed", next.output);
    case "fail":
      return ended("Failed", next.reason, next.failureDetails);
    case "terminate":
      return ended("Terminated", next.reason);
    case "continue-as-new": {
      const begun = begin({ ...row, input: next.input, nowMs }, ids);
      effects.inputs.push({ instanceId: row.id, input: next.input });
      effects.messages.push(begun.message);
      return { row: { ...begun.row, status: "Running", customStatus }, ending: undefined };
    }
  }
}

/** Reports to the parent; the SDK must be able to read it, so `Details` is empty, not missing. */
function report(
  parent: ParentInstance,
  status: Status,
  result: string | null,
  details: FailureDetails | undefined,
  ids: Ids,
): Message {
  const { InstanceId: instanceId, ExecutionId: executionId } = parent.OrchestrationInstance;
  const common = { EventId: -1, TaskScheduledId: parent.TaskScheduleId } as const;
  const event: EventBody =
    status === "Completed"
      ? { EventType: EventType.SubOrchestrationInstanceCompleted, ...common, Result: result }
      : {
          EventType: EventType.SubOrchestrationInstanceFailed,
          ...common,
          Reason: result ?? "",
          Details: "",
          ...(details === undefined ? {} : { FailureDetails: details }),
        };
  return { id: ids.next(), instanceId, executionId, event };
}

export interface Beginning {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly input: string | null;
  readonly parent: ParentInstance | null;
  readonly nowMs: number;
}

/** A new execution: its row and the message that starts it. */
export function begin(beginning: Beginning, ids: Ids): { readonly row: InstanceRow; readonly message: Message } {
  const { id, name, version, input, parent, nowMs } = beginning;
  const executionId = ids.execution();
  const started: ExecutionStarted = {
    EventType: EventType.ExecutionStarted,
    EventId: -1,
    Name: name,
    Version: version,
    Input: input,
    ParentInstance: parent,
    OrchestrationInstance: { InstanceId: id, ExecutionId: executionId },
    Tags: null,
  };
  const row: InstanceRow = {
    id,
    executionId,
    name,
    version,
    status: "Pending",
    customStatus: null,
    createdMs: nowMs,
    updatedMs: nowMs,
    parent,
  };
  return { row, message: { id: ids.next(), instanceId: id, executionId, event: started } };
}
