import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { type SQLOutputValue, type StatementSync, DatabaseSync } from "node:sqlite";
import { LocalError } from "../../../errors.ts";
import { DURABLE_OPEN_MS } from "../../../limits.ts";
import {
  type Batch,
  type DurableStore,
  type InstanceRow,
  type Loaded,
  type Message,
  type Work,
  hasEnded,
} from "./store.ts";

const VERSION = 1;
/** The write-ahead log is checkpointed at this length, 16 MiB: rarely, because that waits for the disk. */
const LOG_PAGES = 4_096;
const SCHEMA = `
  CREATE TABLE instance (id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE payload (id TEXT PRIMARY KEY, input TEXT, output TEXT);
  CREATE TABLE history
    (instance TEXT NOT NULL, place INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (instance, place)) WITHOUT ROWID;
  CREATE TABLE message (id INTEGER PRIMARY KEY, row TEXT NOT NULL);
  CREATE TABLE work (id INTEGER PRIMARY KEY, row TEXT NOT NULL);
  PRAGMA user_version = ${VERSION};`;

/**
 * A hub in one SQLite file. Write-ahead log with `synchronous = NORMAL`: a commit survives the death of the process at
 * any moment; a loss of power may cost the last moments, as everywhere in the local cloud. Waits up to `waitMs` for
 * another process that holds the file. All batches submitted in two turns of the event loop share a transaction.
 */
export function openSqliteStore(file: string, waitMs = DURABLE_OPEN_MS): DurableStore {
  const database = openDatabase(file, waitMs);
  const statements = prepare(database);
  let waiting: { readonly batch: Batch; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] =
    [];
  let isClosed = false;

  const flush = (): void => {
    const group = waiting;
    waiting = [];
    if (group.length === 0) return;
    try {
      statements.begin.run();
      for (const { batch } of group) apply(statements, batch);
      statements.commit.run();
    } catch (error) {
      if (database.isTransaction) statements.rollback.run();
      const failure = new LocalError(
        "internal",
        `The state of Durable Functions could not be written: ${String(error)}`,
        { file },
        { cause: error },
      );
      for (const { reject } of group) reject(failure);
      return;
    }
    for (const { resolve } of group) resolve();
  };

  return {
    load: async () => load(database, file),
    commit: (batch) =>
      new Promise((resolve, reject) => {
        if (isClosed) return reject(new LocalError("internal", "The state of Durable Functions is closed.", { file }));
        waiting.push({ batch, resolve, reject });
        // Two turns, not one: concurrent work ends in both, and half as many transactions are written.
        if (waiting.length === 1) setImmediate(() => setImmediate(flush));
      }),
    history: async (id) => statements.history.all(id).map((row) => text(row["event"])),
    payload: async (id) => {
      const row = statements.payload.get(id);
      return { input: textOrNull(row?.["input"]), output: textOrNull(row?.["output"]) };
    },
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      flush();
      database.close();
    },
  };
}

function openDatabase(file: string, waitMs: number): DatabaseSync {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(file, { timeout: waitMs });
    // Exclusive: a second host on the same state would run everything twice.
    database.exec(
      `PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${LOG_PAGES};`,
    );
    database.exec("BEGIN IMMEDIATE");
    const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
    if (version === 0) database.exec(SCHEMA);
    else if (version !== VERSION) throw new Error(`its version is ${String(version)} instead of ${VERSION}`);
    database.exec("COMMIT");
    return database;
  } catch (error) {
    throw unusable(file, error);
  }
}

function unusable(file: string, error: unknown): LocalError {
  if (error instanceof Error && /locked|busy/i.test(error.message)) {
    const hint = "Stop the other function app of this folder first.";
    return new LocalError(
      "configuration-invalid",
      "Another process uses the state of Durable Functions.",
      { file },
      { cause: error, hint },
    );
  }
  const hint = "Restore the file from a copy, or delete it, which forgets all orchestrations.";
  return new LocalError(
    "state-damaged",
    `The state of Durable Functions cannot be read: ${String(error)}`,
    { file },
    { cause: error, hint },
  );
}

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text);
  return {
    begin: sql("BEGIN IMMEDIATE"),
    commit: sql("COMMIT"),
    rollback: sql("ROLLBACK"),
    removeInstance: sql("DELETE FROM instance WHERE id = ?"),
    removePayload: sql("DELETE FROM payload WHERE id = ?"),
    clearHistory: sql("DELETE FROM history WHERE instance = ?"),
    removeMessage: sql("DELETE FROM message WHERE id = ?"),
    removeWork: sql("DELETE FROM work WHERE id = ?"),
    putInstance: sql("INSERT OR REPLACE INTO instance (id, row) VALUES (?, ?)"),
    putInput: sql("INSERT OR REPLACE INTO payload (id, input) VALUES (?, ?)"),
    putOutput: sql(
      "INSERT INTO payload (id, output) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET output = excluded.output",
    ),
    putEvent: sql("INSERT OR REPLACE INTO history (instance, place, event) VALUES (?, ?, ?)"),
    putMessage: sql("INSERT INTO message (id, row) VALUES (?, ?)"),
    putWork: sql("INSERT INTO work (id, row) VALUES (?, ?)"),
    history: sql("SELECT event FROM history WHERE instance = ? ORDER BY place"),
    payload: sql("SELECT input, output FROM payload WHERE id = ?"),
  };
}

function apply(statements: ReturnType<typeof prepare>, batch: Batch): void {
  for (const id of batch.removedInstances ?? []) {
    statements.removeInstance.run(id);
    statements.removePayload.run(id);
    statements.clearHistory.run(id);
  }
  for (const id of batch.clearedHistories ?? []) statements.clearHistory.run(id);
  for (const id of batch.removedMessages ?? []) statements.removeMessage.run(id);
  for (const id of batch.removedWork ?? []) statements.removeWork.run(id);
  for (const row of batch.instances ?? []) statements.putInstance.run(row.id, JSON.stringify(row));
  for (const { instanceId, input } of batch.inputs ?? []) statements.putInput.run(instanceId, input);
  for (const { instanceId, output } of batch.outputs ?? []) statements.putOutput.run(instanceId, output);
  for (const { instanceId, index, event } of batch.history ?? []) statements.putEvent.run(instanceId, index, event);
  for (const message of batch.messages ?? []) statements.putMessage.run(message.id, JSON.stringify(message));
  for (const item of batch.work ?? []) statements.putWork.run(item.id, JSON.stringify(item));
}

function load(database: DatabaseSync, file: string): Loaded {
  try {
    // The file is private to this program and versioned: its rows are trusted.
    const rows = <T>(table: string): T[] =>
      database
        .prepare(`SELECT row FROM ${table} ORDER BY id`)
        .all()
        .map((row) => JSON.parse(text(row["row"])) as T);
    const instances = rows<InstanceRow>("instance");
    const history = database.prepare("SELECT event FROM history WHERE instance = ? ORDER BY place");
    const live = instances.filter(({ status }) => !hasEnded(status));
    return {
      instances,
      histories: new Map(live.map(({ id }) => [id, history.all(id).map((row) => text(row["event"]))])),
      messages: rows<Message>("message"),
      work: rows<Work>("work"),
    };
  } catch (error) {
    throw unusable(file, error);
  }
}

function text(value: SQLOutputValue | undefined): string {
  if (typeof value !== "string") throw new Error("a text is missing");
  return value;
}

const textOrNull = (value: SQLOutputValue | undefined): string | null => (typeof value === "string" ? value : null);
