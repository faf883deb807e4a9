import { parseArgs } from "node:util";
import { LeewardError } from "../../replication/errors.ts";

export interface DemoOptions {
  readonly seed: number;
  /** Flip one byte in a restored disk: the proof must fail. */
  readonly corrupt: boolean;
  /** Leave the folder behind. */
  readonly keep: boolean;
}

const SEED_LIMIT = 2 ** 31;

/** `--seed N`, `--corrupt`, `--keep`. Without a seed a new one is drawn; it is printed. */
export function parseDemoOptions(parameters: readonly string[], random: () => number): DemoOptions {
  let values: { readonly seed?: string; readonly corrupt?: boolean; readonly keep?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...parameters],
      options: { seed: { type: "string" }, corrupt: { type: "boolean" }, keep: { type: "boolean" } },
    }));
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
  const seed = values.seed === undefined ? Math.floor(random() * SEED_LIMIT) : Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed >= SEED_LIMIT)
    throw usage(`--seed takes a whole number from 0 to ${SEED_LIMIT - 1}.`);
  return { seed, corrupt: values.corrupt ?? false, keep: values.keep ?? false };
}

function usage(message: string): LeewardError {
  return new LeewardError(
    "configuration-invalid",
    message,
    {},
    { hint: "Usage: npm run demo -- [--seed N] [--corrupt] [--keep]" },
  );
}
