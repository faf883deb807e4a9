import { LeewardError } from "../replication/errors.ts";

export type LogFacts = Readonly<Record<string, string | number | boolean | undefined>>;

/** One line of JSON per event. Facts never hold tokens or addresses with credentials. */
export type Log = (level: "info" | "warning" | "error", event: string, facts?: LogFacts) => void;

export function createLog(write: (line: string) => void, now: () => number): Log {
  return (level, event, facts = {}) => write(`${JSON.stringify({ time: new Date(now()).toISOString(), level, event, ...facts })}\n`);
}

/** What an operator needs of an error. Causes stay out: they may come from libraries that put addresses into their messages. */
export function errorFacts(error: unknown): LogFacts {
  if (error instanceof LeewardError) return { code: error.code, message: error.message, hint: error.hint, ...error.facts };
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}
