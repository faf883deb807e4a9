import { LeewardError } from "../replication/errors.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, errorText, UsageError, type Command, type Terminal } from "./command.ts";
import { deltaCommand } from "./delta.ts";
import { mobilityCommand } from "./mobility.ts";
import { pointsCommand } from "./points.ts";
import { restoreCommand } from "./restore.ts";

/** Every command of the program. */
const COMMANDS: Readonly<Record<string, Command>> = {
  delta: deltaCommand,
  mobility: mobilityCommand,
  points: pointsCommand,
  restore: restoreCommand,
};

/** Runs `leeward` with these arguments and returns its exit code: 0 done, 1 failed, 2 wrong usage. */
export async function runLeeward(args: readonly string[], terminal: Terminal): Promise<number> {
  const name = args[0];
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    terminal.out(usageText(Object.values(COMMANDS)));
    return name === undefined ? EXIT_USAGE : EXIT_OK;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    terminal.error(`leeward: there is no command "${name}"\n${usageText(Object.values(COMMANDS))}`);
    return EXIT_USAGE;
  }
  try {
    return await command.run(args.slice(1), terminal);
  } catch (error) {
    if (isUsageError(error)) {
      terminal.error(`leeward ${name}: ${error.message}\n${usageText([command])}`);
      return EXIT_USAGE;
    }
    if (!(error instanceof LeewardError)) throw error;
    terminal.error(errorText(error));
    return EXIT_FAILED;
  }
}

/** `parseArgs` of node:util reports wrong options as errors with its own codes. */
function isUsageError(error: unknown): error is Error {
  if (error instanceof UsageError) return true;
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS_");
}

function usageText(commands: readonly Command[]): string {
  return ["usage:", ...commands.flatMap((command) => command.usage.map((line) => `  leeward ${line}`))].join("\n");
}
