import type { Random } from "../lab/random.ts";
import type { DemoOptions } from "./options.ts";
import type { Terminal } from "./terminal.ts";

/** What every stage of the demo needs. */
export interface DemoContext {
  readonly options: DemoOptions;
  readonly folder: string;
  readonly random: Random;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}
