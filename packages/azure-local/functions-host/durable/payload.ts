import { z } from "zod";
import type { InvocationInput, Outcome } from "../invocation.ts";
import type { TypedData } from "../rpc.ts";
import { type EventBody, type FailureDetails, EventType } from "./history.ts";

export interface EpisodeInput {
  readonly instanceId: string;
  readonly parentInstanceId: string | null;
  /** JSON text. */
  readonly input: string | null;
  /** JSON text of each event. */
  readonly history: readonly string[];
}

/**
 * The input of an orchestrator. The protocol version is V3 (`upperSchemaVersionNew` wins): under V4 the SDK would offer
 * entity locks, which need entities; under V3 it refuses them itself. The input is a value, not text, and the SDK makes
 * a Date of each text named `Timestamp` in it.
 */
export function orchestratorInput({ instanceId, parentInstanceId, input, history }: EpisodeInput): InvocationInput {
  const text =
    `{"history":[${history.join(",")}],"input":${input ?? "null"},"instanceId":${JSON.stringify(instanceId)},"isReplaying":false,` +
    `"parentInstanceId":${JSON.stringify(parentInstanceId)},"upperSchemaVersion":1,"upperSchemaVersionNew":2,` +
    `"longRunningTimerIntervalDuration":"3.00:00:00","maximumShortTimerDuration":"6.00:00:00",` +
    `"defaultHttpAsyncRequestSleepTimeMillseconds":30000}`;
  return { data: { string: text }, metadata: {} };
}

/** The input of an activity; its text passes through unchanged. */
export function activityInput(instanceId: string, input: string | null): InvocationInput {
  const data = input === null ? { json: "null" } : { string: input };
  return { data, metadata: { instanceId: { string: JSON.stringify(instanceId) } } };
}

/** The event that reports an activity's end to the orchestration. */
export function activityResult(taskId: number, name: string, outcome: Outcome): EventBody {
  if (outcome.kind === "succeeded") {
    return {
      EventType: EventType.TaskCompleted,
      EventId: -1,
      TaskScheduledId: taskId,
      Result: resultText(outcome.response.returnValue),
    };
  }
  return activityFailure(taskId, name, outcome.error);
}

export function activityFailure(taskId: number, name: string, error: unknown): EventBody {
  const message = error instanceof Error ? error.message : String(error);
  const details = failureDetails(message);
  return {
    EventType: EventType.TaskFailed,
    EventId: -1,
    TaskScheduledId: taskId,
    Reason: `Activity function '${name}' failed: ${details?.ErrorMessage ?? message}`,
    // The real host puts a serialised .NET exception here; these are the members that are read.
    Details: JSON.stringify({
      ClassName: "System.Exception",
      Message: details?.ErrorMessage ?? message,
      StackTraceString: error instanceof Error ? (error.stack ?? null) : null,
    }),
    ...(details === undefined ? {} : { FailureDetails: details }),
  };
}

/** JSON text of what an activity returned. */
function resultText(value: TypedData | null | undefined): string | null {
  if (value === null || value === undefined) return null;
  if (value.json !== undefined) return value.json;
  if (value.string !== undefined) return JSON.stringify(value.string);
  if (value.bytes !== undefined) return JSON.stringify(Buffer.from(value.bytes).toString("base64"));
  return JSON.stringify(value.int ?? value.double ?? null);
}

const serialized = z.object({
  errorType: z.string(),
  errorMessage: z.string(),
  isNonRetriable: z.boolean(),
  properties: z.record(z.string(), z.unknown()),
  stackTrace: z.string().optional(),
});

/** An app with an exception properties provider throws errors whose message is this JSON. */
function failureDetails(message: string): FailureDetails | undefined {
  if (!message.startsWith("{")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch {
    return undefined;
  }
  const parsed = serialized.safeParse(value);
  if (!parsed.success) return undefined;
  const { errorType, errorMessage, isNonRetriable, properties, stackTrace } = parsed.data;
  return {
    ErrorType: errorType,
    ErrorMessage: errorMessage,
    StackTrace: stackTrace,
    IsNonRetriable: isNonRetriable,
    Properties: properties,
  };
}
