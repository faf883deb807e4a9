import type { LogLevel } from "./rpc.ts";

/** One log event. `event` is a fixed word to search for, `message` is for people. */
export interface HostEvent {
  readonly level: Exclude<LogLevel, "none">;
  readonly event: HostEventName;
  readonly message: string;
  readonly function?: string;
  readonly invocationId?: string;
  readonly durationMs?: number;
  /** What fired a function: `httpTrigger`, `queueTrigger`, ... */
  readonly trigger?: string;
  readonly status?: number;
}

type HostEventName =
  | "host"
  | "worker"
  | "function-log"
  | "console"
  | "invocation-started"
  | "invocation-succeeded"
  | "invocation-failed"
  | "timer"
  | "queue"
  | "http"
  | "durable";

export type HostLog = (event: HostEvent) => void;

/** A log line: one JSON object, secrets of query strings redacted. */
export function formatEvent(event: HostEvent, nowMs: number): string {
  return JSON.stringify({ time: new Date(nowMs).toISOString(), ...event, message: redact(event.message) });
}

/**
 * Redacts credentials in URLs and connection strings: function keys (`code`), SAS signatures (`sig`), account keys. It
 * does not catch secrets logged in another form; it is the last net, not the rule.
 */
export function redact(text: string): string {
  return text
    .replaceAll(/([?&](?:code|sig)=)[^&\s"'<>]+/gi, "$1***")
    .replaceAll(/((?:AccountKey|SharedAccessSignature)=)[^;\s"']+/gi, "$1***");
}

/** The text of any thrown value, with its stack if it has one. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.stack ?? `${error.name}: ${error.message}`;
}
