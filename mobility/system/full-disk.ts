import { LeewardError } from "../../replication/errors.ts";

/** There is no room, which can change: in all the spellings of a full disk, a quota and a limit. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** Of an error of the system, or of one that names it as its reason. */
export function isFull(error: unknown): boolean {
  if (error instanceof LeewardError) return FULL.has(String(error.facts["reason"]));
  return error instanceof Error && "code" in error && FULL.has(String(error.code));
}
