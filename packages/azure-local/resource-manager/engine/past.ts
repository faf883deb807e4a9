import { keyOf, sameId } from "./ids.ts";
import type { Scope } from "./resource-rows.ts";
import type { Reference, ResourceRecord } from "./resource-type.ts";

/** How far a view lags: resources created more recently are missing, and recently removed ones still show. */
interface Lag {
  readonly addedMs: number;
  readonly removedMs: number;
}

/** Views of this cloud that can be made to lag, as Azure's do; each is exact by default. */
export interface PastSwitches {
  /** Listings, as of a regional cache. */
  staleLists(lag: Lag | undefined): void;
  /**
   * Reads of single resources, and what a change names: groups, parents, references. Of one type, or of all. Changes of
   * the resource itself see the truth.
   */
  lag(lag: (Lag & { readonly type?: string }) | undefined): void;
  /** "In use" holds for a while after the user released it or is gone. */
  lateReleases(late: { readonly ms: number } | undefined): void;
}

interface Use {
  readonly record: ResourceRecord;
  readonly reference: Reference;
}

/** Recent past state, recorded only while a switch needs it. */
export interface Past extends PastSwitches {
  isNoted(): boolean;
  /** Before a resource is put (`next`) or removed (undefined); `held`: references that it dropped. */
  note(
    previous: ResourceRecord | undefined,
    next: ResourceRecord | undefined,
    held: readonly Reference[],
    nowMs: number,
  ): void;
  /** True: a read does not find it yet. */
  isTooNew(record: ResourceRecord, nowMs: number): boolean;
  /** What a read still finds. */
  ghost(id: string, nowMs: number): ResourceRecord | undefined;
  formerUsersOf(id: string, nowMs: number): readonly Use[];
  /** One page of a listing, from the store's rows. */
  page(scope: Scope, afterKey: string, limit: number, nowMs: number, read: ReadPage): readonly ResourceRecord[];
  clear(): void;
}

type ReadPage = (afterKey: string, limit: number) => readonly ResourceRecord[];

export function createPast(): Past {
  let lists: Lag | undefined;
  let reads: (Lag & { readonly type?: string }) | undefined;
  let lateMs: number | undefined;
  /** When each resource was first complete. */
  const added = new Map<string, number>();
  const removed = new Map<string, { readonly record: ResourceRecord; readonly atMs: number }>();
  let released: { readonly use: Use; readonly atMs: number }[] = [];
  const isYounger = (atMs: number | undefined, limitMs: number, nowMs: number): boolean =>
    atMs !== undefined && nowMs - atMs < limitMs;
  const forget = (nowMs: number): void => {
    const lags = [lists, reads].flatMap((lag) => [lag?.addedMs ?? 0, lag?.removedMs ?? 0]);
    const keptMs = Math.max(...lags, lateMs ?? 0);
    for (const [key, atMs] of added) if (!isYounger(atMs, keptMs, nowMs)) added.delete(key);
    for (const [key, { atMs }] of removed) if (!isYounger(atMs, keptMs, nowMs)) removed.delete(key);
    released = released.filter(({ atMs }) => isYounger(atMs, keptMs, nowMs));
  };
  const ofReads = (record: ResourceRecord): Lag | undefined =>
    reads === undefined || (reads.type !== undefined && !sameId(reads.type, record.type)) ? undefined : reads;
  return {
    staleLists: (lag) => void (lists = lag),
    lag: (lag) => void (reads = lag),
    lateReleases: (late) => void (lateMs = late?.ms),
    isNoted: () => lists !== undefined || reads !== undefined || lateMs !== undefined,
    note(previous, next, held, nowMs) {
      forget(nowMs);
      if (next === undefined) {
        if (previous !== undefined) removed.set(previous.key, { record: previous, atMs: nowMs });
      } else {
        removed.delete(next.key);
        // It is new until complete: what counts is when its creation ended.
        if (previous === undefined || (added.has(next.key) && previous.provisioningState !== "Succeeded"))
          added.set(next.key, nowMs);
      }
      const record = previous ?? next;
      if (record !== undefined)
        released.push(...held.map((reference) => ({ use: { record, reference }, atMs: nowMs })));
    },
    isTooNew: (record, nowMs) => isYounger(added.get(record.key), ofReads(record)?.addedMs ?? 0, nowMs),
    ghost(id, nowMs) {
      const found = removed.get(keyOf(id));
      return found !== undefined && isYounger(found.atMs, ofReads(found.record)?.removedMs ?? 0, nowMs)
        ? found.record
        : undefined;
    },
    formerUsersOf: (id, nowMs) =>
      released
        .filter(({ use, atMs }) => sameId(use.reference.id, id) && isYounger(atMs, lateMs ?? 0, nowMs))
        .map(({ use }) => use),
    page(scope, afterKey, limit, nowMs, read) {
      const lag = lists;
      if (lag === undefined) return read(afterKey, limit);
      const shown = readWithout(read, afterKey, limit, (record) =>
        isYounger(added.get(record.key), lag.addedMs, nowMs),
      );
      const ghosts = [...removed.values()]
        .filter(({ atMs }) => isYounger(atMs, lag.removedMs, nowMs))
        .map(({ record }) => record);
      const past = ghosts.filter((record) => record.key > afterKey && isInScope(record, scope));
      return [...shown, ...past].toSorted((one, other) => (one.key < other.key ? -1 : 1)).slice(0, limit);
    },
    clear() {
      [lists, reads, lateMs, released] = [undefined, undefined, undefined, []];
      added.clear();
      removed.clear();
    },
  };
}

/** Reads on until enough rows remain after hiding. */
function readWithout(
  read: ReadPage,
  afterKey: string,
  limit: number,
  isHidden: (record: ResourceRecord) => boolean,
): readonly ResourceRecord[] {
  const shown: ResourceRecord[] = [];
  for (let after = afterKey; ;) {
    const rows = read(after, limit);
    shown.push(...rows.filter((record) => !isHidden(record)));
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit || shown.length >= limit) return shown.slice(0, limit);
    after = last.key;
  }
}

function isInScope(record: ResourceRecord, scope: Scope): boolean {
  switch (scope.kind) {
    case "type":
      return record.type === scope.type;
    case "type-in-group":
      return record.type === scope.type && record.groupKey === scope.groupKey;
    case "type-below":
      return record.type === scope.type && record.parentKey === scope.parentKey;
    case "group":
      return record.groupKey === scope.groupKey && record.parentKey === undefined && record.key !== record.groupKey;
  }
}
