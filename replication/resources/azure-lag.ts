import type { LeewardError } from "../errors.ts";
import { AZURE_LAG_MS } from "../limits.ts";
import { sameId } from "./ids.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";
import type { ResourceJson } from "./resource-manager.ts";

/**
 * Azure shows changes late: for a moment a resource just made is missing, and one just removed is still listed or holds
 * what it used. The ledger knows what was made and removed, and when, so it distinguishes such a moment from a lasting
 * refusal. docs/azure-differences.md lists these assumptions.
 */

/**
 * "There is no such resource" in answer to a change of `id`. True: the missing resource is in this ledger and was seen
 * a short time ago, so the change is begun again. The ids in the message decide; if it has none, whether the change
 * refers to something young.
 */
export function isNotShownYet(
  ledger: Ledger,
  id: string,
  body: ResourceJson | undefined,
  message: string,
  nowMs: number,
): boolean {
  const text = JSON.stringify(body ?? {}).toLowerCase();
  const spokenOf = ledger.entries.filter(
    (entry) =>
      entry.state === "created" &&
      isYoung(entry, nowMs) &&
      (isWithin(id, entry.id) || text.includes(entry.id.toLowerCase())),
  );
  const named = idsIn(message).filter((each) => !sameId(each, id));
  if (named.length === 0) return spokenOf.length > 0;
  return named.some((each) => spokenOf.some((entry) => isWithin(each, entry.id)));
}

export type InUse =
  /** Perhaps used only by what this ledger is removing: ask again. */
  | { readonly kind: "again" }
  /** Others use it. */
  | { readonly kind: "foreign"; readonly users: readonly string[] }
  /** For too long, and Azure names no other user. */
  | { readonly kind: "lasting" };

/** "In use" in answer to the removal of `id`. */
export function judgeInUse(ledger: Ledger, id: string, message: string, nowMs: number): InUse {
  const going = ledger.entries.filter(({ state }) => state === "removing" || state === "removed");
  // Azure names the resource itself, a part of it, and its group too.
  const users = idsIn(message).filter((each) => !isWithin(each, id) && !isWithin(id, each));
  const foreign = users.filter((each) => !going.some((entry) => isWithin(each, entry.id)));
  if (foreign.length > 0) return { kind: "foreign", users: foreign };
  return going.some((entry) => isYoung(entry, nowMs)) ? { kind: "again" } : { kind: "lasting" };
}

/** Whether a ledger has seen the resource made a short time ago, so that a read that misses it is not trusted. */
export function isYoungIn(ledger: Ledger, id: string, nowMs: number): boolean {
  return ledger.entries.some((entry) => sameId(entry.id, id) && entry.state === "created" && isYoung(entry, nowMs));
}

/**
 * A role takes effect minutes after it was assigned; until then a storage account refuses as if no role were assigned.
 * Only a caller that waits for minutes can tell these apart.
 */
export function isRoleNotHeardYet({ code, facts }: LeewardError): boolean {
  return (
    code === "store-refused" &&
    (facts["storageCode"] === "AuthorizationPermissionMismatch" || facts["storageCode"] === "AuthorizationFailure")
  );
}

/** Older entries have no time, and are not young. */
function isYoung({ changedMs }: LedgerEntry, nowMs: number): boolean {
  return changedMs !== undefined && nowMs - changedMs < AZURE_LAG_MS;
}

/** The same, or a part of it, such as the subnet of a network. */
function isWithin(id: string, holder: string): boolean {
  return sameId(id, holder) || id.toLowerCase().startsWith(`${holder.toLowerCase()}/`);
}

function idsIn(message: string): readonly string[] {
  return [...message.matchAll(/\/subscriptions\/[^\s'",;()[\]]+/gi)].map(([id]) => id.replace(/[./:]+$/, ""));
}
