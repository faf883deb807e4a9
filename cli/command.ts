import type { LeewardError } from "../replication/errors.ts";

/** One command of `leeward`. To add one, write its file and put it into the table of leeward.ts. */
export interface Command {
  /** One line for each form of the command, without the leading `leeward`. */
  readonly usage: readonly string[];
  /** Takes the arguments after the command's name; returns the exit code. Throws UsageError or LeewardError. */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

/** Where a command writes; each call is one or more whole lines. */
export interface Terminal {
  out(text: string): void;
  error(text: string): void;
}

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** The command line is wrong: exit code 2 and the usage. All other failures are LeewardErrors with exit code 1. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A failure as the terminal shows it: code and message, the facts, the next step. */
export function errorText(error: LeewardError): string {
  const facts = Object.entries(error.facts).flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${name}: ${value}`],
  );
  return [`${error.code}: ${error.message}`, ...facts, `  hint: ${error.hint}`].join("\n");
}

/** A failure in the shape of the HTTP API. */
export function errorJson(error: LeewardError): object {
  return { error: { code: error.code, message: error.message, hint: error.hint, facts: error.facts } };
}
