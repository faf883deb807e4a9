import { LeewardError, invariant } from "../errors.ts";
import { LEDGER_MAX_ENTRIES, LEFT_TRY_MAX_MS } from "../limits.ts";
import { sameId } from "./ids.ts";

/**
 * Everything that Leeward made for one item, recorded BEFORE it is made, so that no interruption leaves anything
 * unknown. Resources that existed before and are not Leeward's (found without its tag) are never recorded here, and so
 * never removed.
 *
 * What stays and what goes. Site Recovery leaves the target's resource group, network and cache account behind for
 * ever. Here a shared resource goes with the last item that uses it, if Leeward made it. A resource whose removal
 * deletes its contents (`isHolder`) stays all the same and is named in the job: no list of Azure shows for certain that
 * it holds nothing of others. What a failover made stays when users' work has moved there: the machine is then the
 * operator's, and the entry is `released`.
 */
export interface Ledger {
  readonly version: 1;
  readonly itemId: string;
  readonly entries: readonly LedgerEntry[];
}

export interface LedgerEntry {
  /** Resource Manager id, or the address of a container. Compared case-insensitively. */
  readonly id: string;
  readonly kind: LedgerKind;
  readonly role: LedgerRole;
  /** The job that wrote the entry. */
  readonly jobId: string;
  readonly state: LedgerState;
  /** When the state last changed (Unix milliseconds of the target's clock); undefined in older entries. */
  readonly changedMs?: number | undefined;
  /**
   * State of the PUTs sent for it. `awaited`: the answer has not come yet. `missing`: one was never answered; it may
   * take effect long after the resource was removed, so the sweep checks again.
   */
  readonly answer?: "awaited" | "missing" | undefined;
  /** The sweep tries to remove it, not a flow. */
  readonly isRetry?: boolean | undefined;
}

/**
 * `intended`: may or may not exist. `created`: was seen to exist. `removing`: may or may not be gone. `removed`: was
 * seen to be gone. `released`: stays, and is no longer ours to remove. `left`: should be gone, but was unreachable, or
 * may come back by a PUT that was never answered: the sweep or the next disabling removes it later.
 */
type LedgerState = "intended" | "created" | "removing" | "removed" | "released" | "left";

/** What an entry is for. `shared`: other items may use it too. `test-failover`: not built yet. */
export type LedgerRole = "replication" | "failover" | "test-failover" | "shared";

/** Kinds in the order in which they are removed: dependents go first. Equal ranks are removed in parallel. */
const REMOVAL_RANKS = {
  "event-subscription": 0,
  "mobility-extension": 0,
  "virtual-machine": 1,
  "network-interface": 2,
  disk: 2,
  snapshot: 2,
  "restored-blobs": 2,
  "availability-set": 3,
  "public-ip": 3,
  "network-mapping": 3,
  "role-assignment": 3,
  "blob-container": 3,
  "cache-data": 3,
  "virtual-network": 4,
  "system-topic": 4,
  "storage-account": 5,
  "resource-group": 6,
} as const;
export type LedgerKind = keyof typeof REMOVAL_RANKS;

/** The ledger id of the item's data in the cache account. */
export const cacheEntryId = (itemId: string): string => `cache/${itemId}`;
/** Prefix of the ledger ids of a restore's blobs. */
const RESTORED = "restored/";
export const restoredEntryId = (restoreId: string): string => `${RESTORED}${restoreId}`;
export const restoreOfEntry = ({ id }: Pick<LedgerEntry, "id">): string => id.slice(RESTORED.length);

/** Where a resource is: removals in the source region must not delay the rest, for that region may be gone. */
export type LedgerSide = "source" | "target";
const AT_SOURCE: ReadonlySet<LedgerKind> = new Set([
  "event-subscription",
  "mobility-extension",
  "system-topic",
  "cache-data",
]);
export const isAtSource = ({ kind }: Pick<LedgerEntry, "kind">): boolean => AT_SOURCE.has(kind);
const sideOf = ({ kind }: Pick<LedgerEntry, "kind">): LedgerSide => (AT_SOURCE.has(kind) ? "source" : "target");

/** Removing it also deletes whatever others have put into it. */
const isHolder = ({ kind }: LedgerEntry): boolean => kind === "resource-group" || kind === "storage-account";

/** What a removal covers. `disable` covers everything. `test-failover`: not built yet. */
export type RemovalScope = "test-failover" | "failover" | "disable";

export function emptyLedger(itemId: string): Ledger {
  return { version: 1, itemId, entries: [] };
}

/**
 * Records what is about to be made; repeating it gives one entry, and a removed one begins again. Errors: `conflict`
 * (retryable) while the resource is still being removed; a sweep's try that died is not waited for.
 */
export function intend(
  ledger: Ledger,
  resources: readonly Pick<LedgerEntry, "id" | "kind" | "role">[],
  jobId: string,
  nowMs: number,
): Ledger {
  const entries = resources.reduce<readonly LedgerEntry[]>((known, { id, kind, role }) => {
    const found = known.find((entry) => sameId(entry.id, id));
    const fresh: LedgerEntry = { id, kind, role, jobId, state: "intended", changedMs: nowMs };
    if (found === undefined) return [...known, fresh];
    invariant(found.kind === kind, "a resource keeps its kind", { id, kind, found: found.kind });
    if (found.state === "removing" && !isAbandoned(found, nowMs))
      throw new LeewardError("conflict", `${id} is being removed.`, { id, itemId: ledger.itemId });
    if (found.state === "intended" || found.state === "created") return known;
    return known.map((entry) => (entry === found ? { ...fresh, answer: found.answer } : entry));
  }, ledger.entries);
  invariant(entries.length <= LEDGER_MAX_ENTRIES, "the ledger is bounded", {
    itemId: ledger.itemId,
    entries: entries.length,
  });
  return sameOr(ledger, entries);
}

/** A PUT is about to be sent for each of these. An earlier PUT still awaited counts as never answered. */
export function noteSent(ledger: Ledger, ids: readonly string[]): Ledger {
  return changeAnswer(ledger, ids, (answer) => (answer === undefined ? "awaited" : "missing"));
}

/** Azure has answered the last PUT sent for each of these. */
export function noteAnswered(ledger: Ledger, ids: readonly string[]): Ledger {
  return changeAnswer(ledger, ids, (answer) => (answer === "awaited" ? undefined : answer));
}

function changeAnswer(
  ledger: Ledger,
  ids: readonly string[],
  next: (answer: LedgerEntry["answer"]) => LedgerEntry["answer"],
): Ledger {
  return sameOr(
    ledger,
    ledger.entries.map((entry) => {
      const answer = ids.some((id) => sameId(id, entry.id)) ? next(entry.answer) : entry.answer;
      return answer === entry.answer ? entry : { ...entry, answer };
    }),
  );
}

/** The resource was seen. It must have been recorded before. */
export function markCreated(ledger: Ledger, id: string, nowMs: number): Ledger {
  invariant(
    ledger.entries.some((entry) => sameId(entry.id, id)),
    "a resource is in the ledger before it is made",
    { id, itemId: ledger.itemId },
  );
  const seen = change(ledger, nowMs, (entry) =>
    sameId(entry.id, id) && entry.state === "intended" ? "created" : entry.state,
  );
  // The existing resource is the work of the only PUT that was sent.
  return noteAnswered(seen, [id]);
}

/**
 * Marks what has to go. `machineMoved`: users' work runs on what the failover made, which therefore stays, except the
 * blobs that its disks were copied from. Mark first and check other items afterwards: of two last users disabled
 * together, each is marked when the other checks, so that at least one removes.
 */
export function beginRemoval(ledger: Ledger, scope: RemovalScope, machineMoved: boolean, nowMs: number): Ledger {
  return change(ledger, nowMs, ({ kind, role, state }) => {
    if (state !== "intended" && state !== "created" && state !== "left") return state;
    if (scope !== "disable") return role === scope ? "removing" : state;
    return role === "failover" && machineMoved && kind !== "restored-blobs" ? "released" : "removing";
  });
}

/**
 * A committed failover: the machine and its parts are now the operator's, but not the blobs that its disks were copied
 * from.
 */
export function handOver(ledger: Ledger, nowMs: number): Ledger {
  return change(ledger, nowMs, ({ kind, role, state }) => {
    if (role !== "failover" || (state !== "intended" && state !== "created")) return state;
    return kind === "restored-blobs" ? "removing" : "released";
  });
}

export interface RemovalPlan {
  /** One stage after another; within a stage in parallel. */
  readonly stages: readonly (readonly LedgerEntry[])[];
  /** Shared and still in use by others: these only leave this ledger. */
  readonly toRelease: readonly string[];
  /** Without known users, and never removed: these leave this ledger too, and the job names them. */
  readonly toLeave: readonly LedgerEntry[];
}

/**
 * What to remove in which order. `inUseElsewhere`: ids of all live entries of the other items' ledgers (`liveIds`).
 * `side` undefined: both sides.
 */
export function planRemoval(ledger: Ledger, inUseElsewhere: readonly string[], side?: LedgerSide): RemovalPlan {
  const used = new Set(inUseElsewhere.map((id) => id.toLowerCase()));
  const going = ledger.entries.filter(
    (entry) => entry.state === "removing" && (side === undefined || sideOf(entry) === side),
  );
  const kept = going.filter(({ role, id }) => role === "shared" && used.has(id.toLowerCase()));
  const toLeave = going.filter((entry) => isHolder(entry) && !kept.includes(entry));
  const ranks = [...new Set(Object.values(REMOVAL_RANKS))].toSorted((left, right) => left - right);
  const stages = ranks
    .map((rank) =>
      going.filter((entry) => !kept.includes(entry) && !toLeave.includes(entry) && REMOVAL_RANKS[entry.kind] === rank),
    )
    .filter((stage) => stage.length > 0);
  return { stages, toRelease: kept.map(({ id }) => id), toLeave };
}

/** The resource was seen to be gone. */
export function markRemoved(ledger: Ledger, id: string, nowMs: number): Ledger {
  return change(ledger, nowMs, (entry) =>
    sameId(entry.id, id) && entry.state === "removing" ? "removed" : entry.state,
  );
}

/** The resource stays: others use it, or it holds something foreign. */
export function markReleased(ledger: Ledger, id: string, nowMs: number): Ledger {
  return change(ledger, nowMs, (entry) =>
    sameId(entry.id, id) && entry.state !== "removed" ? "released" : entry.state,
  );
}

/** The resource could not be reached. */
export function markLeft(ledger: Ledger, id: string, nowMs: number): Ledger {
  return change(ledger, nowMs, (entry) => (sameId(entry.id, id) && entry.state === "removing" ? "left" : entry.state));
}

/** Retries a leftover. Making it again meanwhile waits until this try has ended (`intend`). */
export function retryLeft(ledger: Ledger, id: string, nowMs: number): Ledger {
  return sameOr(
    ledger,
    ledger.entries.map((entry) =>
      isOpenLeft(entry) && sameId(entry.id, id)
        ? { ...entry, state: "removing", changedMs: nowMs, isRetry: true }
        : entry,
    ),
  );
}

/** The try has shown, long after the last PUT was sent, that the resource is gone or not ours. */
export function endLeft(ledger: Ledger, id: string): Ledger {
  return sameOr(
    ledger,
    ledger.entries.filter((entry) => !sameId(entry.id, id) || entry.state !== "removing"),
  );
}

/** All leftovers, including those whose retry may have died. */
export function openLeft({ entries }: Ledger): readonly LedgerEntry[] {
  return entries.filter(isOpenLeft);
}

/** Left, or in a retry that may have died. */
function isOpenLeft(entry: LedgerEntry): boolean {
  return entry.state === "left" || (entry.state === "removing" && isTried(entry));
}

/**
 * The sweep that tries it must have ended by now: flows remove nothing of the source while the item is protected, or is
 * about to be.
 */
function isAbandoned(entry: LedgerEntry, nowMs: number): boolean {
  return isTried(entry) && nowMs - (entry.changedMs ?? 0) > LEFT_TRY_MAX_MS;
}

const isTried = (entry: LedgerEntry): boolean => sideOf(entry) === "source" || entry.isRetry === true;

/** Records a check of what was removed: what still exists is not removed after all, and what is missing is. */
export function markSeen(ledger: Ledger, id: string, stands: boolean, nowMs: number): Ledger {
  return change(ledger, nowMs, (entry) => {
    if (!sameId(entry.id, id) || (entry.state !== "removing" && entry.state !== "removed")) return entry.state;
    return stands ? "removing" : "removed";
  });
}

/** What an item uses. Entries being removed do not count. */
export function liveIds({ entries }: Ledger): readonly string[] {
  return entries.filter(({ state }) => state === "intended" || state === "created").map(({ id }) => id);
}

/** What may still exist, except what was left for later: disabling ends only when this is empty. */
export function leftovers({ entries }: Ledger): readonly LedgerEntry[] {
  return entries.filter(({ state }) => state !== "removed" && state !== "released" && state !== "left");
}

export function isEmpty(ledger: Ledger): boolean {
  return leftovers(ledger).length === 0;
}

/** Drops a finished entry; ids of this kind are never reused. */
export function forgetEntry(ledger: Ledger, id: string): Ledger {
  return sameOr(
    ledger,
    ledger.entries.filter((entry) => !sameId(entry.id, id)),
  );
}

/**
 * Drops what is gone or released, so that the ledger does not grow with every drill. What a PUT that was never answered
 * may bring back is left for the sweep.
 */
export function compact(ledger: Ledger): Ledger {
  return sameOr(
    ledger,
    ledger.entries.flatMap((entry): readonly LedgerEntry[] => {
      if (entry.state === "released") return [];
      if (entry.state !== "removed") return [entry];
      return entry.answer === undefined ? [] : [{ ...entry, state: "left" }];
    }),
  );
}

function change(ledger: Ledger, nowMs: number, next: (entry: LedgerEntry) => LedgerState): Ledger {
  return sameOr(
    ledger,
    ledger.entries.map((entry) => {
      const state = next(entry);
      return state === entry.state ? entry : { ...entry, state, changedMs: nowMs, isRetry: undefined };
    }),
  );
}

/** The same ledger when nothing changed, so that nothing is written. */
function sameOr(ledger: Ledger, entries: readonly LedgerEntry[]): Ledger {
  const same = entries.length === ledger.entries.length && entries.every((entry, at) => entry === ledger.entries[at]);
  return same ? ledger : { ...ledger, entries };
}
