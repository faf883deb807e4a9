import { LeewardError, invariant } from "../errors.ts";
import { LEDGER_MAX_ENTRIES, LEFT_TRY_MAX_MS } from "../limits.ts";
import { sameId } from "./ids.ts";

/**
 * Everything that Leeward made for one item, written down BEFORE it is made, so that whatever breaks off leaves nothing
 * unknown. Resources that stood there before and are not Leeward's (found without its tag) never come in
 * here, and so are never removed.
 *
 * What stays and what goes. Site Recovery leaves the target's resource group, network and cache account behind for
 * ever. Here a shared resource goes with the last item that uses it, if Leeward made it. What takes other things along
 * (`isHolder`) stays all the same and is named in the job: no list of Azure shows for certain that nobody has put
 * anything there. What a failover made stays when users' work has moved there: it is the operator's machine then, and
 * the entry is `released`.
 */
export interface Ledger {
  readonly version: 1;
  readonly itemId: string;
  readonly entries: readonly LedgerEntry[];
}

export interface LedgerEntry {
  /** Resource Manager id, or the address of a container. Compared without regard to case. */
  readonly id: string;
  readonly kind: LedgerKind;
  readonly role: LedgerRole;
  /** The job that wrote the entry. */
  readonly jobId: string;
  readonly state: LedgerState;
  /** When the state was last changed (Unix milliseconds of the target's clock); undefined in entries of before. */
  readonly changedMs?: number | undefined;
  /**
   * Of the PUTs that were sent for it. `awaited`: one whose answer has not come. `missing`: one was never answered; it
   * may take effect long after the resource was removed, so that the sweep looks once more.
   */
  readonly answer?: "awaited" | "missing" | undefined;
  /** The sweep tries to remove it, no flow. */
  readonly isRetry?: boolean | undefined;
}

/**
 * `intended`: may exist or not. `created`: was seen to exist. `removing`: may be gone or not. `removed`: was seen to be
 * gone. `released`: stays, and is no longer ours to remove. `left`: should be gone, and could not be reached, or may
 * come back by a PUT that was never answered: the sweep removes it later, or the next disabling.
 */
type LedgerState = "intended" | "created" | "removing" | "removed" | "released" | "left";

/** What an entry is for. `shared`: other items may use it too. */
export type LedgerRole = "replication" | "failover" | "test-failover" | "shared";

/**
 * Kinds in the order in which they are removed: what depends on something goes before it. Equal ranks go side by side.
 */
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

/** What the cache account keeps of an item, in its ledger. */
export const cacheEntryId = (itemId: string): string => `cache/${itemId}`;
/** The blobs of a restore in the ledger. */
const RESTORED = "restored/";
export const restoredEntryId = (restoreId: string): string => `${RESTORED}${restoreId}`;
export const restoreOfEntry = ({ id }: Pick<LedgerEntry, "id">): string => id.slice(RESTORED.length);

/** Where a thing lies: removing what is in the source region must not hold up the rest, for that region may be gone. */
export type LedgerSide = "source" | "target";
const AT_SOURCE: ReadonlySet<LedgerKind> = new Set([
  "event-subscription",
  "mobility-extension",
  "system-topic",
  "cache-data",
]);
export const isAtSource = ({ kind }: Pick<LedgerEntry, "kind">): boolean => AT_SOURCE.has(kind);
const sideOf = ({ kind }: Pick<LedgerEntry, "kind">): LedgerSide => (AT_SOURCE.has(kind) ? "source" : "target");

/** What takes along whatever others have put into it when it is removed. */
const isHolder = ({ kind }: LedgerEntry): boolean => kind === "resource-group" || kind === "storage-account";

/** What a removal is about. `disable` goes over everything. */
export type RemovalScope = "test-failover" | "failover" | "disable";

export function emptyLedger(itemId: string): Ledger {
  return { version: 1, itemId, entries: [] };
}

/**
 * Writes down what is about to be made; doing it twice is one entry, and one that was removed before begins again.
 * Errors: `conflict` (retryable) while the resource is still being removed; a try of the sweep that died is not waited
 * for.
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

/** A PUT is about to be sent for each of these. One before whose answer is still awaited was never answered. */
export function noteSent(ledger: Ledger, ids: readonly string[]): Ledger {
  return changeAnswer(ledger, ids, (answer) => (answer === undefined ? "awaited" : "missing"));
}

/** Azure said what it makes of the PUT that was sent last for each of these. */
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

/** The resource was seen. Only what was written down before can be. */
export function markCreated(ledger: Ledger, id: string, nowMs: number): Ledger {
  invariant(
    ledger.entries.some((entry) => sameId(entry.id, id)),
    "a resource is in the ledger before it is made",
    { id, itemId: ledger.itemId },
  );
  const seen = change(ledger, nowMs, (entry) =>
    sameId(entry.id, id) && entry.state === "intended" ? "created" : entry.state,
  );
  // What stands there is the work of the only PUT that was sent.
  return noteAnswered(seen, [id]);
}

/**
 * Marks what has to go. `machineMoved`: users' work runs on what the failover made, which therefore stays, but for the
 * blobs that its disks were copied from. Mark first and look at other items afterwards: of two last users that are
 * disabled together each is marked when the other looks, so that at least one removes.
 */
export function beginRemoval(ledger: Ledger, scope: RemovalScope, machineMoved: boolean, nowMs: number): Ledger {
  return change(ledger, nowMs, ({ kind, role, state }) => {
    if (state !== "intended" && state !== "created" && state !== "left") return state;
    if (scope !== "disable") return role === scope ? "removing" : state;
    return role === "failover" && machineMoved && kind !== "restored-blobs" ? "released" : "removing";
  });
}

/**
 * A committed failover: the machine and its parts are the operator's now. The blobs that its disks were copied from are
 * not among them.
 */
export function handOver(ledger: Ledger, nowMs: number): Ledger {
  return change(ledger, nowMs, ({ kind, role, state }) => {
    if (role !== "failover" || (state !== "intended" && state !== "created")) return state;
    return kind === "restored-blobs" ? "removing" : "released";
  });
}

export interface RemovalPlan {
  /** One stage after the other; inside a stage side by side. */
  readonly stages: readonly (readonly LedgerEntry[])[];
  /** Shared and still in use by others: these only leave this ledger. */
  readonly toRelease: readonly string[];
  /** Used by nobody that is known, and never removed: these leave this ledger too, and the job names them. */
  readonly toLeave: readonly LedgerEntry[];
}

/**
 * What to remove in which order. `inUseElsewhere`: ids of all live entries of the other items' ledgers (`liveIds`).
 * `side` undefined: on both.
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

/** The resource stays: others use it, or something foreign lives in it. */
export function markReleased(ledger: Ledger, id: string, nowMs: number): Ledger {
  return change(ledger, nowMs, (entry) =>
    sameId(entry.id, id) && entry.state !== "removed" ? "released" : entry.state,
  );
}

/** The resource could not be reached. */
export function markLeft(ledger: Ledger, id: string, nowMs: number): Ledger {
  return change(ledger, nowMs, (entry) => (sameId(entry.id, id) && entry.state === "removing" ? "left" : entry.state));
}

/** What was left is tried again. Whoever makes it anew meanwhile waits until this try has ended (`intend`). */
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

/** The try has shown, long after the last PUT was sent, that the resource is gone or somebody else's. */
export function endLeft(ledger: Ledger, id: string): Ledger {
  return sameOr(
    ledger,
    ledger.entries.filter((entry) => !sameId(entry.id, id) || entry.state !== "removing"),
  );
}

/** What was left, also what is being tried again by somebody who may have died. */
export function openLeft({ entries }: Ledger): readonly LedgerEntry[] {
  return entries.filter(isOpenLeft);
}

/** Left, or being tried again by somebody who may have died. */
function isOpenLeft(entry: LedgerEntry): boolean {
  return entry.state === "left" || (entry.state === "removing" && isTried(entry));
}

/**
 * Being tried by a sweep that must have ended by now: flows remove nothing of the source while the item is protected,
 * or is about to be.
 */
function isAbandoned(entry: LedgerEntry, nowMs: number): boolean {
  return isTried(entry) && nowMs - (entry.changedMs ?? 0) > LEFT_TRY_MAX_MS;
}

const isTried = (entry: LedgerEntry): boolean => sideOf(entry) === "source" || entry.isRetry === true;

/** A look at what was removed: what still stands is not removed after all, and what is not seen any more is. */
export function markSeen(ledger: Ledger, id: string, stands: boolean, nowMs: number): Ledger {
  return change(ledger, nowMs, (entry) => {
    if (!sameId(entry.id, id) || (entry.state !== "removing" && entry.state !== "removed")) return entry.state;
    return stands ? "removing" : "removed";
  });
}

/** What an item keeps in use. Entries on their way out do not count. */
export function liveIds({ entries }: Ledger): readonly string[] {
  return entries.filter(({ state }) => state === "intended" || state === "created").map(({ id }) => id);
}

/** What may still stand, but for what was left for later: disabling ends only when this is empty. */
export function leftovers({ entries }: Ledger): readonly LedgerEntry[] {
  return entries.filter(({ state }) => state !== "removed" && state !== "released" && state !== "left");
}

export function isEmpty(ledger: Ledger): boolean {
  return leftovers(ledger).length === 0;
}

/** An entry that is over leaves the ledger; ids of this kind never come again. */
export function forgetEntry(ledger: Ledger, id: string): Ledger {
  return sameOr(
    ledger,
    ledger.entries.filter((entry) => !sameId(entry.id, id)),
  );
}

/**
 * Forgets what is gone or released, so that the ledger does not grow with every drill. What a PUT that was never
 * answered may bring back is left for the sweep.
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
