import { LeewardError } from "../../replication/errors.ts";

/** No space, for now: all variants of a full disk, a quota and a limit. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** True for an error of the system, or one that names it as its cause. */
export function isFull(error: unknown): boolean {
  if (error instanceof LeewardError) return FULL.has(String(error.facts["reason"]));
  return error instanceof Error && "code" in error && FULL.has(String(error.code));
}
