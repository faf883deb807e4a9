import { chmodSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { LocalError } from "../../errors.ts";
import { ARM_OPERATIONS_KEPT } from "../../limits.ts";
import type { OperationRecord } from "./operation-record.ts";
import { type ResourceRows, openResources } from "./resource-rows.ts";
import type { ResourceRecord } from "./resource-type.ts";

/**
 * Resources and operations in one SQLite file. Everything inside `transaction` is kept or undone together; once it
 * returns, its result survives a kill of the process (write-ahead log; a loss of power may cost the last moments).
 * Lookups use indexes in memory: only the rows asked for are read.
 */
export interface ArmStore extends ResourceRows {
  transaction<Result>(work: () => Result): Result;
  operation(id: string): OperationRecord | undefined;
  /** Undecided ones, the earliest due first. */
  openOperations(): readonly OperationRecord[];
  putOperation(record: OperationRecord): void;
  close(): void;
}

/**
 * Opens the file, creating it if missing; `undefined` keeps everything in memory. `namesOf`: the keys a record refers
 * to.
 */
export function openStore(file: string | undefined, namesOf: (record: ResourceRecord) => readonly string[]): ArmStore {
  const { database, resources } = openDatabase(file, namesOf);
  const operation = database.prepare("SELECT record FROM operations WHERE id = ?");
  const open = database.prepare("SELECT record FROM operations WHERE open = 1 ORDER BY due, rowid");
  const putOperation = database.prepare(
    "INSERT INTO operations VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET open = excluded.open, record = excluded.record",
  );
  const forget = database.prepare(
    `DELETE FROM operations WHERE open = 0 AND rowid <= (SELECT max(rowid) FROM operations) - ${ARM_OPERATIONS_KEPT}`,
  );
  return {
    ...resources,
    transaction: (work) => {
      database.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      }
    },
    operation: (id) => parse(operation.get(id)) as OperationRecord | undefined,
    openOperations: () => open.all().map((row) => parse(row) as OperationRecord),
    putOperation: (record) => {
      putOperation.run(record.id, record.status === "InProgress" ? 1 : 0, record.dueMs, JSON.stringify(record));
      forget.run();
    },
    close: () => database.close(),
  };
}

/** Throws `state-damaged` for a file that is no such database. */
function openDatabase(file: string | undefined, namesOf: (record: ResourceRecord) => readonly string[]) {
  const database = new DatabaseSync(file ?? ":memory:");
  try {
    if (file !== undefined) chmodSync(file, 0o600);
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS resources (key TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS operations
        (id TEXT PRIMARY KEY, open INTEGER NOT NULL, due INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
      CREATE INDEX IF NOT EXISTS open_operations ON operations (open, due);`);
    return { database, resources: openResources(database, namesOf) };
  } catch (cause) {
    database.close();
    const hint = "Restore the file from a copy, or delete its folder, which forgets all resources.";
    throw new LocalError("state-damaged", `The resources in ${file} cannot be read.`, { file }, { cause, hint });
  }
}

function parse(row: Record<string, unknown> | undefined): unknown {
  return row === undefined ? undefined : JSON.parse(String(row["record"]));
}
