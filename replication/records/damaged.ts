import { type LeewardError, hasCode } from "../errors.ts";

/** The second: a blob longer than any record that is ever stored is not one of ours either. */
const DAMAGED = ["record-corrupt", "delta-too-large"] as const;

/**
 * The result of `read`, or what `instead` makes of the damage: the one way to continue without a record that cannot be
 * read. Only what the record describes is unusable then (rule 6), so callers that can do without it, or have to name
 * it, continue. Any other error passes through.
 */
export async function unlessDamaged<Found, Other>(
  read: () => Found | Promise<Found>,
  instead: (damage: LeewardError) => Other | Promise<Other>,
): Promise<Found | Other> {
  try {
    return await read();
  } catch (error) {
    if (!hasCode(error, ...DAMAGED)) throw error;
    return instead(error);
  }
}

/** For callers that treat a damaged record as missing. */
export const nothing = (): undefined => undefined;
