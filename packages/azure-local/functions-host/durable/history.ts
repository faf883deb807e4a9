/**
 * The history of an orchestration as the Durable Task Framework writes it and the JavaScript SDK reads it: PascalCase
 * members, numbers for the types. `EventId` is the sequence id of what the event schedules, and -1 for everything else.
 */
export const EventType = {
  ExecutionStarted: 0,
  ExecutionCompleted: 1,
  ExecutionTerminated: 3,
  TaskScheduled: 4,
  TaskCompleted: 5,
  TaskFailed: 6,
  SubOrchestrationInstanceCreated: 7,
  SubOrchestrationInstanceCompleted: 8,
  SubOrchestrationInstanceFailed: 9,
  TimerCreated: 10,
  TimerFired: 11,
  OrchestratorStarted: 12,
  OrchestratorCompleted: 13,
  EventRaised: 15,
  ExecutionSuspended: 19,
  ExecutionResumed: 20,
} as const;
type Types = typeof EventType;

interface OrchestrationInstance {
  readonly InstanceId: string;
  readonly ExecutionId: string;
}

/** Where a sub-orchestration reports to: the parent's execution and the sequence id of the call. */
export interface ParentInstance {
  readonly Name: string;
  readonly OrchestrationInstance: OrchestrationInstance;
  readonly TaskScheduleId: number;
}

/** As the SDK's TaskFailedError reads it. */
export interface FailureDetails {
  readonly ErrorType: string;
  readonly ErrorMessage: string;
  readonly StackTrace?: string | undefined;
  readonly IsNonRetriable: boolean;
  readonly Properties?: unknown;
  readonly InnerFailure?: unknown;
}

export interface ExecutionStarted {
  readonly EventType: Types["ExecutionStarted"];
  readonly EventId: -1;
  readonly Name: string;
  readonly Version: string;
  /** JSON text. */
  readonly Input: string | null;
  readonly ParentInstance: ParentInstance | null;
  readonly OrchestrationInstance: OrchestrationInstance;
  readonly Tags: null;
}

interface ExecutionCompleted {
  readonly EventType: Types["ExecutionCompleted"];
  readonly EventId: number;
  readonly OrchestrationStatus: string;
  /** JSON text of the output, the text of the failure, or the reason of the termination. */
  readonly Result: string | null;
}

interface WithReason {
  readonly EventType: Types["ExecutionSuspended"] | Types["ExecutionResumed"];
  readonly EventId: -1;
  readonly Reason: string;
}

interface ExecutionTerminated {
  readonly EventType: Types["ExecutionTerminated"];
  readonly EventId: -1;
  /** The reason. */
  readonly Input: string;
}

interface TaskScheduled {
  readonly EventType: Types["TaskScheduled"];
  readonly EventId: number;
  readonly Name: string;
  readonly Version: string;
  readonly Input: string | null;
}

interface Completed {
  readonly EventType: Types["TaskCompleted"] | Types["SubOrchestrationInstanceCompleted"];
  readonly EventId: -1;
  readonly TaskScheduledId: number;
  /** JSON text; the SDK parses it. */
  readonly Result: string | null;
}

interface Failed {
  readonly EventType: Types["TaskFailed"] | Types["SubOrchestrationInstanceFailed"];
  readonly EventId: -1;
  readonly TaskScheduledId: number;
  /** Both must be text, or the SDK refuses the event. */
  readonly Reason: string;
  readonly Details: string;
  readonly FailureDetails?: FailureDetails;
}

interface SubOrchestrationInstanceCreated {
  readonly EventType: Types["SubOrchestrationInstanceCreated"];
  readonly EventId: number;
  readonly Name: string;
  readonly InstanceId: string;
  readonly Input: string | null;
  readonly Version: string;
}

interface TimerCreated {
  readonly EventType: Types["TimerCreated"];
  readonly EventId: number;
  readonly FireAt: string;
}

interface TimerFired {
  readonly EventType: Types["TimerFired"];
  readonly EventId: -1;
  readonly TimerId: number;
  readonly FireAt: string;
}

interface Turn {
  readonly EventType: Types["OrchestratorStarted"] | Types["OrchestratorCompleted"];
  readonly EventId: -1;
}

interface EventRaised {
  readonly EventType: Types["EventRaised"];
  readonly EventId: -1;
  readonly Name: string;
  /** JSON text. */
  readonly Input: string | null;
}

/** An event before it is recorded; what messages carry. */
export type EventBody =
  | ExecutionStarted
  | ExecutionCompleted
  | ExecutionTerminated
  | WithReason
  | TaskScheduled
  | Completed
  | Failed
  | SubOrchestrationInstanceCreated
  | TimerCreated
  | TimerFired
  | Turn
  | EventRaised;

/** `IsPlayed` is false only in the episode that records the event; `Timestamp` is ISO 8601. */
export type HistoryEvent = EventBody & { readonly IsPlayed: boolean; readonly Timestamp: string };

/** The sequence id that an event opens, closes, or neither. */
export function sequenceOf(event: EventBody): { readonly opens?: number; readonly closes?: number } {
  switch (event.EventType) {
    case EventType.TaskScheduled:
    case EventType.SubOrchestrationInstanceCreated:
    case EventType.TimerCreated:
      return { opens: event.EventId };
    case EventType.TaskCompleted:
    case EventType.TaskFailed:
    case EventType.SubOrchestrationInstanceCompleted:
    case EventType.SubOrchestrationInstanceFailed:
      return { closes: event.TaskScheduledId };
    case EventType.TimerFired:
      return { closes: event.TimerId };
    case EventType.ExecutionStarted:
    case EventType.ExecutionCompleted:
    case EventType.ExecutionTerminated:
    case EventType.OrchestratorStarted:
    case EventType.OrchestratorCompleted:
    case EventType.EventRaised:
    case EventType.ExecutionSuspended:
    case EventType.ExecutionResumed:
      return {};
  }
}

/** The sequence ids that a history has scheduled and not yet settled. */
export function openSequenceIds(events: Iterable<EventBody>): Set<number> {
  const open = new Set<number>();
  for (const event of events) {
    const { opens, closes } = sequenceOf(event);
    if (opens !== undefined) open.add(opens);
    if (closes !== undefined) open.delete(closes);
  }
  return open;
}
