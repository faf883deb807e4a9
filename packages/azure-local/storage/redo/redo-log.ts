import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { readFile, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { LocalError } from "../../errors.ts";
import { LOCAL_REDO_LOG_MIN_BYTES } from "../../limits.ts";
import { changed, parseDatabase, type LokiDatabase, type LokiDocument, type LokiStore } from "../azurite-modules.ts";
import {
  applyChanges,
  LISTS,
  readChanges,
  spliceBetween,
  type Change,
  type ListName,
  type ListSplice,
} from "./changes.ts";
import { decodeFrames, encodeFrame } from "./frames.ts";

/** Keeps one Loki database durable against the death of the process at any moment. */
export interface RedoLog {
  /**
   * Writes the changes since the last call as one frame. After it returns, a kill cannot undo them. Throws when the
   * disk refuses.
   */
  flush(): void;
  /** Saves the database and removes the log. The store must not change afterwards. */
  close(): Promise<void>;
}

/**
 * Gives `store` a redo log, before it is initialised. Loki rewrites its whole file every five seconds and loses what
 * came since; here each change is appended to a log beside the file, and the file is rewritten only when the log has
 * grown as large as it (at least `minimumLogBytes`).
 *
 * Files: `F` is the database, `F.redo-NNNNNN` the logs. The database holds the number of the first log that it does not
 * contain: the number is raised, the database turned into text and the next log begun in one synchronous step. So the
 * database that is on disk, whichever it is, and the logs from its number on always give the last state, and logs below
 * the number are leftovers.
 */
export function keepRedoLog(store: LokiStore, minimumLogBytes = LOCAL_REDO_LOG_MIN_BYTES): RedoLog {
  const { db } = store;
  db.autosaveDisable();
  db.autosave = false;
  // The store saves itself once at its start; the log decides when a database is saved.
  db.saveDatabase = (callback) => callback?.();
  let log: OpenLog | undefined;
  const initialise = store.init.bind(store);
  store.init = async () => {
    const recovered = await recover(db.filename);
    await initialise();
    if (recovered) for (const collection of db.collections) collection.ensureAllIndexes(true);
    reviveTimes(db);
    const marker = await ensureMarker(db);
    log = openLog(db, marker, minimumLogBytes);
    for (const collection of db.collections) if (collection.name !== MARKER) record(collection.name, db, log);
  };
  return { flush: () => log?.flush(), close: async () => log?.close() };
}

const MARKER = "$LEEWARD_REDO$";

/** Brings the database file up to the end of its logs. True if that changed anything. */
async function recover(file: string): Promise<boolean> {
  const logs = await listLogs(file);
  if (logs.length === 0) return false;
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw lost(file, "the database is missing", cause);
  });
  const database = parseDatabase(text);
  const marker = database.collections.find((collection) => collection.name === MARKER)?.data[0];
  const first = marker?.firstLog;
  if (marker === undefined || first === undefined) throw lost(file, "the database does not know its log");
  const needed = logs.filter((number) => number >= first);
  if (needed.some((number, at) => number !== first + at)) throw lost(file, "a log is missing");
  const changes: Change[] = [];
  for (const number of needed) {
    const name = logFile(file, number);
    const bytes = await readFile(name);
    const frames = decodeFrames(bytes, name);
    if (frames.lengthBytes < bytes.length && number !== needed.at(-1)) throw lost(file, `log ${number} ends early`);
    for (const frame of frames.values) changes.push(...readChanges(frame, name));
  }
  applyChanges(database, changes);
  marker.firstLog = first + needed.length;
  await replaceFile(file, JSON.stringify(database));
  for (const number of logs) await unlink(logFile(file, number));
  return true;
}

interface OpenLog extends RedoLog {
  append(change: Change): void;
}

function openLog(db: LokiDatabase, marker: MarkerDocument, minimumLogBytes: number): OpenLog {
  let descriptor: number | undefined = openSync(logFile(db.filename, marker.firstLog), "ax");
  let pending: string[] = [];
  let logBytes = 0;
  let enoughBytes = minimumLogBytes;
  let saving: Promise<void> | undefined;
  let failure: unknown;
  const flush = (): void => {
    if (failure !== undefined) throw failure;
    if (pending.length === 0 || descriptor === undefined) return;
    const frame = encodeFrame(`[${pending.join(",")}]`);
    pending = [];
    try {
      for (let at = 0; at < frame.length;) at += writeSync(descriptor, frame, at);
    } catch (error) {
      // Part of the frame may be there: nothing may follow it.
      failure = error;
      throw error;
    }
    logBytes += frame.length;
    if (logBytes >= enoughBytes && saving === undefined) saving = save();
  };
  const save = async (): Promise<void> => {
    try {
      const done = marker.firstLog;
      const last = descriptor;
      // These steps happen together, without an await between them.
      marker.firstLog = done + 1;
      const text = databaseText(db);
      descriptor = openSync(logFile(db.filename, marker.firstLog), "ax");
      logBytes = 0;
      if (last !== undefined) closeSync(last);
      await replaceFile(db.filename, text);
      await unlink(logFile(db.filename, done));
      enoughBytes = Math.max(minimumLogBytes, text.length);
    } catch (error) {
      failure = error;
    }
    saving = undefined;
  };
  const close = async (): Promise<void> => {
    flush();
    await saving;
    await save();
    if (failure !== undefined) throw failure;
    if (descriptor !== undefined) closeSync(descriptor);
    descriptor = undefined;
    unlinkSync(logFile(db.filename, marker.firstLog));
  };
  const append = (change: Change): void => {
    if (descriptor !== undefined) pending.push(JSON.stringify(change));
  };
  return { append, flush, close };
}

/** Loki calls these listeners synchronously, with the current document. */
function record(collection: string, db: LokiDatabase, log: OpenLog): void {
  const loki = db.getCollection(collection);
  if (loki === null) throw changed(`the collection ${collection}`);
  const known = new WeakMap<LokiDocument, Lists>();
  for (const document of loki.data) known.set(document, listsOf(document));
  loki.on("insert", (document) => {
    known.set(document, listsOf(document));
    log.append({ kind: "put", collection, document });
  });
  loki.on("update", (document) => {
    const lists = listsOf(document);
    const before = known.get(document);
    known.set(document, lists);
    log.append(
      before === undefined ? { kind: "put", collection, document } : splice(collection, document, before, lists),
    );
  });
  loki.on("delete", (document) => log.append({ kind: "remove", collection, id: document.$loki ?? 0 }));
  // Loki silently removes several documents at once unless two listeners exist: its own and this one.
  if (loki.events.delete.length < 2) throw changed("the delete events of a collection");
}

/** A blob's lists as last logged: Azurite changes the arrays in place. */
type Lists = Partial<Record<ListName, readonly object[]>>;

function listsOf(document: LokiDocument): Lists {
  const lists: Lists = {};
  for (const name of LISTS) {
    const list = document[name];
    if (list !== undefined) lists[name] = [...list];
  }
  return lists;
}

function splice(collection: string, document: LokiDocument, before: Lists, after: Lists): Change {
  const lists: Partial<Record<ListName, ListSplice>> = {};
  for (const name of LISTS) {
    const list = after[name];
    if (list !== undefined) lists[name] = spliceBetween(before[name] ?? [], list);
  }
  return { kind: "splice", collection, document: { ...document, ...WITHOUT_LISTS }, lists };
}

/** JSON omits them. */
const WITHOUT_LISTS = Object.fromEntries(LISTS.map((name) => [name, undefined]));

type MarkerDocument = LokiDocument & { firstLog: number };

/** A new marker is on disk before the database's first log begins. */
async function ensureMarker(db: LokiDatabase): Promise<MarkerDocument> {
  const collection = db.getCollection(MARKER) ?? db.addCollection(MARKER);
  const [known] = collection.data;
  if (known !== undefined && isMarker(known)) return known;
  const marker = { firstLog: 0 };
  collection.insert(marker);
  await replaceFile(db.filename, databaseText(db));
  return marker;
}

function isMarker(document: LokiDocument): document is MarkerDocument {
  return document.firstLog !== undefined;
}

/**
 * As Loki writes it, but with every field of a document: Loki omits those named like its own fields, such as the
 * metadata "ttl".
 */
function databaseText(db: LokiDatabase): string {
  const own = new Set<unknown>([db, ...db.collections]);
  return JSON.stringify(db, function (this: unknown, key: string, value: unknown) {
    return LOKI_OWN_FIELDS.has(key) && own.has(this) ? null : value;
  });
}
const LOKI_OWN_FIELDS: ReadonlySet<string> = new Set([
  "autosaveHandle",
  "persistenceAdapter",
  "constraints",
  "ttl",
  "throttledSavePending",
  "throttledCallbacks",
  "lokiConsoleWrapper",
]);

/** JSON made them strings; Azurite compares lease times as dates. */
function reviveTimes(db: LokiDatabase): void {
  for (const document of db.collections.flatMap((collection) => collection.data)) {
    if (document.leaseExpireTime !== undefined) document.leaseExpireTime = new Date(document.leaseExpireTime);
    if (document.leaseBreakTime !== undefined) document.leaseBreakTime = new Date(document.leaseBreakTime);
    const properties = document.properties;
    if (properties === undefined) continue;
    for (const name of ["creationTime", "lastModified", "copyCompletionTime", "accessTierChangeTime"] as const) {
      const time = properties[name];
      if (time !== undefined) properties[name] = new Date(time);
    }
  }
}

async function replaceFile(file: string, text: string): Promise<void> {
  const fresh = `${file}~`;
  await writeFile(fresh, text);
  await rename(fresh, file);
}

function logFile(file: string, number: number): string {
  return `${file}.redo-${String(number).padStart(6, "0")}`;
}

async function listLogs(file: string): Promise<readonly number[]> {
  const prefix = `${basename(file)}.redo-`;
  const names = await readdir(dirname(join(file)));
  return names
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((one, other) => one - other);
}

function lost(file: string, what: string, cause?: unknown): LocalError {
  return new LocalError(
    "state-damaged",
    `The local storage file ${file} cannot be recovered: ${what}.`,
    { file },
    { cause, hint: "A file of the local cloud was changed or removed from outside. An empty folder starts afresh." },
  );
}
