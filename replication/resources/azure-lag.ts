import type { LeewardError } from "../errors.ts";
import { AZURE_LAG_MS } from "../limits.ts";
import type { ResourceJson } from "./resource-manager.ts";
import { sameId } from "./ids.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";

/**
 * Azure shows what was changed late: for a moment a resource that was made is missing, and one that was removed is
 * shown or holds what it used. The ledger knows what was made and removed, and when, so that it tells such a moment
 * from a lasting no. docs/azure-differences.md names what is assumed here.
 */

/**
 * "There is no such resource" in answer to a change of `id`. True: what is missed is something of this ledger that was
 * seen a short time ago, so the change is begun again. What the message names decides; where it names nothing, that the
 * change speaks of something young.
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
  /** Perhaps only by what this ledger is removing: ask again. */
  | { readonly kind: "again" }
  /** Somebody else uses it. */
  | { readonly kind: "foreign"; readonly users: readonly string[] }
  /** For too long, and Azure names nobody else. */
  | { readonly kind: "lasting" };

/** "In use" in answer to the removal of `id`. */
export function judgeInUse(ledger: Ledger, id: string, message: string, nowMs: number): InUse {
  const going = ledger.entries.filter(({ state }) => state === "removing" || state === "removed");
  // Azure names the thing itself, a part of it, and its group too.
  const users = idsIn(message).filter((each) => !isWithin(each, id) && !isWithin(id, each));
  const foreign = users.filter((each) => !going.some((entry) => isWithin(each, entry.id)));
  if (foreign.length > 0) return { kind: "foreign", users: foreign };
  return going.some((entry) => isYoung(entry, nowMs)) ? { kind: "again" } : { kind: "lasting" };
}

/** Whether a ledger has seen the resource made a short time ago, so that nobody should believe that it is missing. */
export function isYoungIn(ledger: Ledger, id: string, nowMs: number): boolean {
  return ledger.entries.some((entry) => sameId(entry.id, id) && entry.state === "created" && isYoung(entry, nowMs));
}

/**
 * A role counts minutes after it was assigned, and until then a storage account refuses as it does one that nobody
 * assigned. Only who waits in minutes can tell them apart.
 */
export function isRoleNotHeardYet({ code, facts }: LeewardError): boolean {
  return (
    code === "store-refused" &&
    (facts["storageCode"] === "AuthorizationPermissionMismatch" || facts["storageCode"] === "AuthorizationFailure")
  );
}

/** Entries of before have no time, and are old. */
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
