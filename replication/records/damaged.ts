import { type LeewardError, hasCode } from "../errors.ts";

/** The second: what is longer than anything that is ever stored is no record of ours either. */
const DAMAGED = ["record-corrupt", "delta-too-large"] as const;

/**
 * What `read` finds, or what `instead` makes of the damage: the one way to go on without a record that cannot be read.
 * Only what the record describes is unusable then (rule 6), so who can do without it, or has to name it, goes on. Any
 * other error passes through.
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

/** For those who treat a damaged record as if it were not there. */
export const nothing = (): undefined => undefined;
