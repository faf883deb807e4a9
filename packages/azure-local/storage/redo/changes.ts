import { LocalError } from "../../errors.ts";
import type { CollectionFile, DatabaseFile, LokiDocument } from "../azurite-modules.ts";

/** One change of one document of a Loki database, as in the redo log. */
export type Change = Put | Remove | Splice;

interface Put {
  readonly kind: "put";
  readonly collection: string;
  readonly document: LokiDocument;
}

interface Remove {
  readonly kind: "remove";
  readonly collection: string;
  readonly id: number;
}

/** A document whose long lists are stored as replaced parts. */
interface Splice {
  readonly kind: "splice";
  readonly collection: string;
  readonly document: LokiDocument;
  readonly lists: Partial<Record<ListName, ListSplice>>;
}

/** `inserted` replaces `removed` elements from `at` on. */
export interface ListSplice {
  readonly at: number;
  readonly removed: number;
  readonly inserted: readonly object[];
}

/** The lists that grow with the content of a blob: a page blob of 1 GiB in 4 KiB writes has 262,144 ranges. */
export const LISTS = ["pageRangesInOrder", "committedBlocksInOrder"] as const;
export type ListName = (typeof LISTS)[number];

/**
 * The difference of `before` and `after`, by element identity from both ends: Azurite replaces elements and never edits
 * one. Replacing an element by itself in the middle only makes the splice longer, never wrong.
 */
export function spliceBetween(before: readonly object[], after: readonly object[]): ListSplice {
  const shorter = Math.min(before.length, after.length);
  let at = 0;
  while (at < shorter && before[at] === after[at]) at++;
  let tail = 0;
  while (tail < shorter - at && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  return { at, removed: before.length - tail - at, inserted: after.slice(at, after.length - tail) };
}

/**
 * The changes of one frame. The frame's checksum covers the rest; this rejects files that are no redo log. Throws
 * `state-damaged`.
 */
export function readChanges(value: unknown, file: string): readonly Change[] {
  if (Array.isArray(value) && value.every(isChange)) return value;
  throw new LocalError("state-damaged", `The file ${file} is no redo log.`, { file });
}

function isChange(value: unknown): value is Change {
  return typeof value === "object" && value !== null && "kind" in value && "collection" in value;
}

/**
 * Applies changes in the order made to the database they began from. Throws `state-damaged` when they do not fit it.
 */
export function applyChanges(database: DatabaseFile, changes: Iterable<Change>): void {
  const collections = new Map(database.collections.map((collection) => [collection.name, collection]));
  const documents = new Map<string, Map<number, LokiDocument>>();
  for (const change of changes) {
    const collection = collections.get(change.collection);
    if (collection === undefined) throw misfit(change, "an unknown collection");
    const known = documents.get(collection.name) ?? indexById(collection);
    documents.set(collection.name, known);
    applyChange(known, change);
    // Ids are never reused, not even after their document was removed.
    if (change.kind === "put") collection.maxId = Math.max(collection.maxId, idOf(change));
  }
  for (const [name, known] of documents) {
    const collection = collections.get(name);
    if (collection !== undefined) replaceDocuments(collection, known);
  }
}

function applyChange(known: Map<number, LokiDocument>, change: Change): void {
  switch (change.kind) {
    case "put":
      known.set(idOf(change), change.document);
      break;
    case "remove":
      if (!known.delete(change.id)) throw misfit(change, "the removal of an unknown document");
      break;
    case "splice": {
      const before = known.get(idOf(change));
      if (before === undefined) throw misfit(change, "the change of an unknown document");
      known.set(idOf(change), { ...change.document, ...splicedLists(before, change) });
      break;
    }
  }
}

function splicedLists(before: LokiDocument, change: Splice): Partial<LokiDocument> {
  const lists: Record<string, object[]> = {};
  for (const name of LISTS) {
    const splice = change.lists[name];
    if (splice === undefined) continue;
    // The previous list belongs to this replay, and nothing else uses it any more.
    const list: object[] = before[name] ?? [];
    if (splice.at + splice.removed > list.length) throw misfit(change, `a splice past the end of ${name}`);
    list.splice(splice.at, splice.removed);
    for (let from = 0; from < splice.inserted.length; from += INSERTED_AT_ONCE) {
      list.splice(splice.at + from, 0, ...splice.inserted.slice(from, from + INSERTED_AT_ONCE));
    }
    lists[name] = list;
  }
  return lists;
}

/** Far below the limit of arguments in one call. */
const INSERTED_AT_ONCE = 10_000;

function indexById(collection: CollectionFile): Map<number, LokiDocument> {
  return new Map(collection.data.map((document) => [document.$loki ?? 0, document]));
}

/** Loki finds ids by binary search, so they ascend; its other indexes are rebuilt after loading. */
function replaceDocuments(collection: CollectionFile, known: ReadonlyMap<number, LokiDocument>): void {
  const ids = [...known.keys()].sort((one, other) => one - other);
  collection.data = ids.flatMap((id) => known.get(id) ?? []);
  collection.idIndex = null;
}

function idOf(change: Put | Splice): number {
  const id = change.document.$loki;
  if (id === undefined) throw misfit(change, "a document without an id");
  return id;
}

function misfit(change: Change, what: string): LocalError {
  return new LocalError(
    "state-damaged",
    `The redo log does not fit its database: ${what} in ${change.collection}.`,
    { collection: change.collection },
    { hint: "A file of the local cloud was changed or removed from outside. An empty folder starts afresh." },
  );
}
