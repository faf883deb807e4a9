import type { ErrorCode } from "../errors.ts";
import type { Progress } from "../records/item.ts";
import type { HeartbeatAnswer } from "./protocol.ts";

/**
 * With these codes the right delta ends the stop. Not so for a fork: the delta there is intact, but a different one.
 */
const ENDED_BY_A_DELTA: readonly string[] = [
  "position-gap",
  "delta-corrupt",
  "delta-foreign",
  "delta-too-large",
] satisfies readonly ErrorCode[];

/** The epoch that a stopped target waits for: named by the stop, unless it is the next one. */
export function wantedEpoch({ stopped, applied }: Progress): HeartbeatAnswer["resend"] {
  if (stopped === undefined || !ENDED_BY_A_DELTA.includes(stopped.code)) return undefined;
  const { epoch } = stopped.facts;
  return { epoch: typeof epoch === "number" && epoch > applied.epoch ? epoch : applied.epoch + 1 };
}
