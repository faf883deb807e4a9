import { SYSTEM_CLOCK } from "./clock.ts";
import { startHost, type FunctionsHost, type HostOptions } from "./host.ts";
import { formatEvent } from "./log.ts";

/** As `HostOptions`, but what tests replace is optional. */
export type FunctionAppOptions = Omit<HostOptions, "host" | "clock" | "random" | "log"> &
  Partial<Pick<HostOptions, "host" | "clock" | "random" | "log">>;

/**
 * Loads a built function app into this process and runs it: at 127.0.0.1, on the system's clock, logging JSON lines to
 * stdout, unless the options say otherwise. Errors: those of `startHost`.
 */
export function startFunctionApp(options: FunctionAppOptions): Promise<FunctionsHost> {
  return startHost({
    host: "127.0.0.1",
    clock: SYSTEM_CLOCK,
    random: Math.random,
    log: (event) => process.stdout.write(`${formatEvent(event, SYSTEM_CLOCK.nowMs())}\n`),
    ...options,
  });
}
