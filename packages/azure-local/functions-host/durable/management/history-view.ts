import { type HistoryEvent, EventType } from "../history.ts";
import { parseOrText } from "./status.ts";

interface HistoryView {
  readonly showInput: boolean;
  readonly showOutput: boolean;
}

const NAMES = new Map<number, string>(Object.entries(EventType).map(([name, number]) => [number, name]));
/** Members that the real host omits. */
const HIDDEN = [
  "EventId",
  "IsPlayed",
  "TaskScheduledId",
  "TimerId",
  "Version",
  "OrchestrationInstance",
  "ParentInstance",
  "Tags",
];

/** The history as the management API shows it: without engine turns, and each call merged with its end. */
export function viewHistory(events: readonly HistoryEvent[], view: HistoryView): readonly Record<string, unknown>[] {
  const settled = new Set(events.flatMap((event) => ("TaskScheduledId" in event ? [event.TaskScheduledId] : [])));
  const scheduled = new Map(events.flatMap((event) => (isCall(event) ? [[event.EventId, event] as const] : [])));
  return events
    .filter(
      (event) =>
        event.EventType !== EventType.OrchestratorStarted && event.EventType !== EventType.OrchestratorCompleted,
    )
    .filter((event) => !(isCall(event) && settled.has(event.EventId)))
    .map((event) => {
      const call = "TaskScheduledId" in event ? scheduled.get(event.TaskScheduledId) : undefined;
      return show(event, call, view);
    });
}

type Call = HistoryEvent & { readonly Name: string; readonly Input: string | null };

function isCall(event: HistoryEvent): event is Call {
  return event.EventType === EventType.TaskScheduled || event.EventType === EventType.SubOrchestrationInstanceCreated;
}

function show(
  event: HistoryEvent,
  call: Call | undefined,
  { showInput, showOutput }: HistoryView,
): Record<string, unknown> {
  const shown: Record<string, unknown> = { ...event, EventType: NAMES.get(event.EventType) };
  for (const member of HIDDEN) delete shown[member];
  if (event.EventType === EventType.ExecutionStarted) {
    delete shown["Name"];
    shown["FunctionName"] = event.Name;
  }
  if (call !== undefined) {
    shown["ScheduledTime"] = call.Timestamp;
    shown["FunctionName"] = call.Name;
    shown["Input"] = call.Input;
  }
  if (!showInput) delete shown["Input"];
  if ("Result" in event) {
    if (showOutput) shown["Result"] = parseOrText(event.Result);
    else delete shown["Result"];
  }
  return shown;
}
