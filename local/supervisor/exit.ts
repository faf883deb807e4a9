import { LocalError } from "@leeward/azure-local/errors";
import { LeewardError } from "../../replication/errors.ts";
import { EXIT_INTERRUPTED, Interrupted } from "./interrupt.ts";

/** The exit code of a command that failed for a reason that its user can fix. */
const EXIT_REFUSED = 2;

/**
 * Runs a command to its end and exits with the code it returns (0 without one), or with 2 after printing message and
 * hint of an error that names a remedy.
 */
export async function exitWith(command: () => Promise<number | undefined | void>): Promise<never> {
  try {
    process.exit((await command()) ?? 0);
  } catch (error) {
    if (error instanceof Interrupted) {
      process.stderr.write("\nStopped.\n");
      process.exit(EXIT_INTERRUPTED);
    }
    process.stderr.write(`\n${describe(error)}\n`);
    process.exit(EXIT_REFUSED);
  }
}

function describe(error: unknown): string {
  const isNamed = error instanceof LeewardError || error instanceof LocalError;
  if (isNamed && error.code === "state-damaged") return `${error.message}\n  ${error.hint}\n  Or run: npm run reset`;
  if (isNamed && error.code !== "internal") return `${error.message}\n  ${error.hint}`;
  if (isNamed) return `${error.stack ?? error.message}\n  ${error.hint}\n  ${JSON.stringify(error.facts)}`;
  if (error instanceof Error) return error.stack ?? error.message;
  return String(error);
}
