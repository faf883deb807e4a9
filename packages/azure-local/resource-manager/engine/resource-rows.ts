import type { DatabaseSync } from "node:sqlite";
import { textOf } from "./json.ts";
import type { ResourceRecord } from "./resource-type.ts";

/** Which resources: all of a type (in a group or below a parent), or those of a group without a parent. */
export type Scope =
  | { readonly kind: "type"; readonly type: string }
  | { readonly kind: "type-in-group"; readonly type: string; readonly groupKey: string }
  | { readonly kind: "type-below"; readonly type: string; readonly parentKey: string }
  | { readonly kind: "group"; readonly groupKey: string };

/** The resources of a store. */
export interface ResourceRows {
  resource(key: string): ResourceRecord | undefined;
  /** The resources of a scope whose keys follow `afterKey`, by key, at most `limit`. */
  page(scope: Scope, afterKey: string, limit: number): readonly ResourceRecord[];
  children(parentKey: string): readonly ResourceRecord[];
  inGroup(groupKey: string): readonly ResourceRecord[];
  /** Resources with a reference to this key. */
  usersOf(key: string): readonly ResourceRecord[];
  /** A disk or snapshot by the id of its file. */
  withUniqueId(uniqueId: string): ResourceRecord | undefined;
  isEmpty(): boolean;
  putResource(record: ResourceRecord): void;
  removeResource(key: string): void;
  /** Resources read since the start: the cost of requests. */
  rowsRead(): number;
}

/**
 * Where each resource is and what it names. These tables live in memory and are filled at each start, so that files of
 * every age have them; they follow the file's transactions.
 */
const INDEXES = `
  CREATE TEMP TABLE places (key TEXT PRIMARY KEY, type TEXT, groupKey TEXT, parentKey TEXT, uniqueId TEXT)
    WITHOUT ROWID;
  CREATE INDEX temp.places_type ON places (type, key);
  CREATE INDEX temp.places_group_type ON places (groupKey, type, key);
  CREATE INDEX temp.places_group ON places (groupKey, key);
  CREATE INDEX temp.places_parent ON places (parentKey, key);
  CREATE INDEX temp.places_unique ON places (uniqueId);
  CREATE TEMP TABLE uses (target TEXT, user TEXT, PRIMARY KEY (target, user)) WITHOUT ROWID;
  CREATE INDEX temp.uses_user ON uses (user);`;
const PUT = "INSERT INTO resources VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record";
const USERS = "SELECT record FROM uses CROSS JOIN resources ON key = user WHERE target = ? ORDER BY user";

export function openResources(
  database: DatabaseSync,
  namesOf: (record: ResourceRecord) => readonly string[],
): ResourceRows {
  database.exec("PRAGMA temp_store = MEMORY");
  database.exec(INDEXES);
  let rowsRead = 0;
  const read = (row: Record<string, unknown> | undefined): ResourceRecord | undefined => {
    if (row === undefined) return undefined;
    rowsRead += 1;
    return JSON.parse(String(row["record"])) as ResourceRecord;
  };
  const found = (rows: readonly Record<string, unknown>[]): readonly ResourceRecord[] =>
    rows.map(read).filter((record) => record !== undefined);
  const where = (condition: string) =>
    database.prepare(
      `SELECT record FROM places CROSS JOIN resources USING (key) WHERE ${condition} AND key > ? ORDER BY key LIMIT ?`,
    );

  const one = database.prepare("SELECT record FROM resources WHERE key = ?");
  const any = database.prepare("SELECT 1 FROM resources LIMIT 1");
  const put = database.prepare(PUT);
  const remove = database.prepare("DELETE FROM resources WHERE key = ?");
  const place = database.prepare("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?)");
  const displace = database.prepare("DELETE FROM places WHERE key = ?");
  const use = database.prepare("INSERT OR IGNORE INTO uses VALUES (?, ?)");
  const unuse = database.prepare("DELETE FROM uses WHERE user = ?");
  const users = database.prepare(USERS);
  const unique = database.prepare("SELECT record FROM places CROSS JOIN resources USING (key) WHERE uniqueId = ?");
  const scopes = {
    type: where("type = ?"),
    "type-in-group": where("groupKey = ? AND type = ?"),
    "type-below": where("parentKey = ? AND type = ?"),
    group: where("groupKey = ? AND parentKey IS NULL"),
    below: where("parentKey = ?"),
    inside: where("groupKey = ?"),
  };

  const index = (record: ResourceRecord): void => {
    const { key, type, groupKey, parentKey } = record;
    const uniqueId = textOf(record.hidden, "uniqueId").toLowerCase();
    // A group is in no group, itself least of all.
    place.run(key, type, groupKey === key ? null : groupKey, parentKey ?? null, uniqueId === "" ? null : uniqueId);
    unuse.run(key);
    for (const name of namesOf(record)) use.run(name, key);
  };
  for (const row of database.prepare("SELECT record FROM resources").iterate()) {
    const record = read(row);
    if (record !== undefined) index(record);
  }
  rowsRead = 0;
  return {
    resource: (key) => read(one.get(key)),
    page: (scope, afterKey, limit) => found(scopes[scope.kind].all(...valuesOf(scope), afterKey, limit)),
    children: (parentKey) => found(scopes.below.all(parentKey, "", -1)),
    inGroup: (groupKey) => found(scopes.inside.all(groupKey, "", -1)),
    usersOf: (key) => found(users.all(key)),
    withUniqueId: (uniqueId) => read(unique.get(uniqueId.toLowerCase())),
    isEmpty: () => any.get() === undefined,
    putResource: (record) => {
      put.run(record.key, JSON.stringify(record));
      index(record);
    },
    removeResource: (key) => {
      remove.run(key);
      displace.run(key);
      unuse.run(key);
    },
    rowsRead: () => rowsRead,
  };
}

function valuesOf(scope: Scope): readonly string[] {
  switch (scope.kind) {
    case "type":
      return [scope.type];
    case "type-in-group":
      return [scope.groupKey, scope.type];
    case "type-below":
      return [scope.parentKey, scope.type];
    case "group":
      return [scope.groupKey];
  }
}
