import { type LeewardError, hasCode } from "../errors.ts";

/**
 * What `read` finds, or what `instead` makes of the damage (undefined without it): the one way to go on without a record that
 * cannot be read. Only what the record describes is unusable then (rule 6), so who can do without it, or has to name it, goes
 * on. Any other error passes through.
 */
const DAMAGED = ["record-corrupt", "delta-too-large"] as const;

/**
 * What `read` finds, or what `instead` makes of the damage, undefined without it: the one way to go on without a record that cannot be read. Only what the record describes is
 * unusable then (rule 6), so who can do without it, or has to name it, goes on. Any other error passes through.
 */
export function unlessDamaged<Found>(read: () => Found | Promise<Found>): Promise<Found | undefined>;
export function unlessDamaged<Found, Other>(
  read: () => Found | Promise<Found>,
  instead: (damage: LeewardError) => Other | Promise<Other>,
): Promise<Found | Other>;
export async function unlessDamaged<Found>(
  read: () => Found | Promise<Found>,
  instead: (damage: LeewardError) => unknown = () => undefined,
): Promise<unknown> {
  try {
    return await read();
  } catch (error) {
    if (!hasCode(error, ...DAMAGED)) throw error;
    return instead(error);
  }
}
