import type { ErrorCode } from "../errors.ts";
import type { Progress } from "../records/item.ts";
import type { HeartbeatAnswer } from "./protocol.ts";

/**
 * With these the right delta in its place ends the stop. A fork is none: the delta that stands there is whole, and
 * another one.
 */
const ENDED_BY_A_DELTA: readonly string[] = [
  "position-gap",
  "delta-corrupt",
  "delta-foreign",
  "delta-too-large",
] satisfies readonly ErrorCode[];

/** What a stopped target waits for. Whoever stopped it named the epoch, if it was not the next one. */
export function wantedEpoch({ stopped, applied }: Progress): HeartbeatAnswer["resend"] {
  if (stopped === undefined || !ENDED_BY_A_DELTA.includes(stopped.code)) return undefined;
  const { epoch } = stopped.facts;
  return { epoch: typeof epoch === "number" && epoch > applied.epoch ? epoch : applied.epoch + 1 };
}
