import { LeewardError } from "../../replication/errors.ts";

export type LogFacts = Readonly<Record<string, string | number | boolean | undefined>>;

/** Every event of the log and what it means: docs/capture.md shows this table. */
export const LOG_EVENTS = {
  ready: "clients can connect",
  stopped: "the service stopped cleanly",
  "start-failed": "the start failed; the facts say why",
  "stop-failed": "the stop could not finish something; the next start does",
  "cut-failed": "an epoch could not be closed on request",
  failed: "something failed that the service survives and tries again",
  "journal-redone": "records of the journal were redone onto the images at the start",
  "reading-again": "whatever may differ between disks and target is read again; the facts say why",
  "resynchronization-required":
    "the guest goes on without a log, and the dirty map records its writes; the facts say why",
  "resynchronization-running": "there is a log again, and what the map names is read",
  "stream-begun": "another stream has begun with initial replication; what the previous one had not sent is dropped",
  "epoch-sealed": "a delta is durable in the spool",
  "identity-changed":
    "whether this service may speak for its item: `asking`, `granted`, `waiting`, `refused` or `silent`",
  "clock-changed":
    "whether the machine's clock agrees with the control plane's; when it does not, times are those of the control plane",
  "token-exchanged": "the item token was replaced",
  "status-socket-unavailable": "the status is available in status.json only",
  freezing: "the script is called with --pre for an app-consistent point",
  thawed: "the script came back from --post",
  "app-point-done": "an epoch that is consistent for applications was cut",
  "app-point-failed": "no app-consistent point; the facts say why",
  "thaw-failed": "the script failed with --post: check the guest",
} as const;

type LogEvent = keyof typeof LOG_EVENTS;

/** One line of JSON per event. Facts never hold tokens or addresses with credentials. */
export type Log = (level: "info" | "warning" | "error", event: LogEvent, facts?: LogFacts) => void;

export function createLog(write: (line: string) => void, now: () => number): Log {
  return (level, event, facts = {}) =>
    write(`${JSON.stringify({ time: new Date(now()).toISOString(), level, event, ...facts })}\n`);
}

/**
 * The facts of an error that an operator needs. Causes stay out: they may come from libraries that put addresses into
 * their messages.
 */
export function errorFacts(error: unknown): LogFacts {
  if (error instanceof LeewardError)
    return { code: error.code, message: error.message, hint: error.hint, ...error.facts };
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}
