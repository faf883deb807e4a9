import { LeewardError } from "../../replication/errors.ts";

/** One structured line for the log. Facts of LeewardErrors carry no secret (rule 8). */
export function logLine(event: string, facts: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ event, ...facts });
}

/** What the log keeps of an error: never its `cause`, which may hold a request with its headers. */
export function describeError(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof LeewardError) return { code: error.code, message: error.message, facts: error.facts };
  return error instanceof Error
    ? { code: "internal", message: error.message, stack: error.stack }
    : { code: "internal", message: String(error) };
}
