import { DURABLE_INSTANCE_ID_MAX_LENGTH } from "../../../limits.ts";

/** Why a text cannot be the id of an orchestration, in the real host's words; undefined when it can. */
export function instanceIdFault(instanceId: string): string | undefined {
  if (instanceId === "") return "Orchestration instance ids must not be empty.";
  if (instanceId.startsWith("@")) return "Orchestration instance ids must not start with @.";
  if (/[/\\?#\p{Cc}]/u.test(instanceId))
    return "Orchestration instance ids must not contain /, \\, #, ?, or control characters.";
  if (instanceId.length > DURABLE_INSTANCE_ID_MAX_LENGTH) {
    return `Instance ID lengths must not exceed ${DURABLE_INSTANCE_ID_MAX_LENGTH} characters.`;
  }
  return undefined;
}
