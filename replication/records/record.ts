import { LeewardError } from "../errors.ts";
import { RECORD_CHANGES_MAX_TRIES } from "../limits.ts";
import type { RecordStore } from "../ports.ts";
import { unlessDamaged } from "./damaged.ts";
import { decodeRecord, encodeRecord } from "./envelope.ts";

/**
 * One record in a container. A body is written whole, in the envelope of every record, and changed by compare-and-set.
 * Errors of each method: those of the port; of those that read a body `record-corrupt` (rule 6).
 */
export interface RecordAt<Body extends Versioned> {
  /** Undefined if there is none. */
  find(): Promise<Stored<Body> | undefined>;
  /** Errors: that of `missing`. */
  read(): Promise<Body>;
  /** The blob in its place, readable or not. */
  inspect(): Promise<Stored<Body> | Damaged | undefined>;
  /** The new etag; undefined if there is one already (then nothing was changed). */
  create(body: Body): Promise<string | undefined>;
  /** The new etag; undefined if it was changed since (then nothing was changed). Without an etag it is created. */
  replace(body: Body, etag: string | undefined): Promise<string | undefined>;
  /** Replaces whatever is there. */
  put(body: Body): Promise<void>;
  /** With `etag` only the version read then; a missing record is fine. */
  remove(etag?: string): Promise<void>;
  /**
   * Changes an existing record and returns the result. `change` may be called several times; returning its argument
   * means that nothing has to be written. Errors: that of `missing`, those that `change` throws, `conflict`.
   */
  change(change: (found: Body) => Body): Promise<Body>;
  /**
   * Creates or changes the record in the same way; `change` may also return nothing, and then nothing is written. For a
   * damaged record, `instead` supplies the value, and the result of `change` replaces it. Errors: those that `change`
   * throws, `conflict`.
   */
  upsert<Next extends Body | undefined>(
    change: (found: Body | undefined) => Next | Promise<Next>,
    instead?: (damage: LeewardError) => Body | undefined,
  ): Promise<Next>;
}

/** What all records of one name have in common. */
export interface RecordKind<Body extends Versioned> {
  readonly name: string;
  readonly version: Body["version"];
  /** The required owner; another item's record in its place counts as damaged. */
  readonly owner?: Partial<Body>;
  /** The fault of a body that contradicts itself; undefined: none. */
  readonly fault?: (body: Body) => string | undefined;
  /** The error for callers that need a missing record; `internal` unless given. */
  readonly missing?: () => LeewardError;
}

interface Versioned {
  readonly version: number;
}

/** A record as of `etag`. */
interface Stored<Body> {
  readonly body: Body;
  readonly etag: string;
}

/** A blob in the place of a record that cannot be read. */
interface Damaged {
  readonly damage: LeewardError;
  readonly etag: string;
}

export function recordAt<Body extends Versioned>(records: RecordStore, kind: RecordKind<Body>): RecordAt<Body> {
  const { name } = kind;
  const missing = kind.missing ?? (() => new LeewardError("internal", `The record ${name} is missing.`, { name }));
  const inspect = async (): Promise<Stored<Body> | Damaged | undefined> => {
    const stored = await unlessDamaged(() => records.read(name), tooLarge);
    if (stored === undefined || "damage" in stored) return stored;
    const { bytes, etag } = stored;
    return unlessDamaged(
      () => ({ body: decodeBody(kind, bytes), etag }),
      (damage) => ({ damage, etag }),
    );
  };
  const find = async (): Promise<Stored<Body> | undefined> => {
    const found = await inspect();
    if (found !== undefined && "damage" in found) throw found.damage;
    return found;
  };
  const replace = (body: Body, etag: string | undefined): Promise<string | undefined> => {
    const bytes = encodeRecord(body);
    return etag === undefined ? records.create(name, bytes) : records.replace(name, bytes, etag);
  };
  const upsert: RecordAt<Body>["upsert"] = (change, instead) =>
    untilWritten(name, async () => {
      const stored = await (instead === undefined ? find() : inspect());
      const found = stored !== undefined && "body" in stored ? stored.body : undefined;
      const next = await change(stored !== undefined && "damage" in stored ? instead?.(stored.damage) : found);
      if (next === undefined || next === found) return { result: next };
      return (await replace(next, stored?.etag)) === undefined ? undefined : { result: next };
    });
  return {
    find,
    inspect,
    replace,
    upsert,
    read: async () => {
      const found = await find();
      if (found === undefined) throw missing();
      return found.body;
    },
    create: (body) => replace(body, undefined),
    put: (body) => records.put(name, encodeRecord(body)),
    remove: (etag) => records.remove(name, etag),
    change: (change) =>
      upsert((found) => {
        if (found === undefined) throw missing();
        return change(found);
      }),
  };
}

/**
 * Reads, decides and writes until no other change came in between: `attempt` returns nothing when one did. The only
 * place that bounds such rounds (rule 9). Errors: those of `attempt`, `conflict` after too many lost rounds.
 */
export async function untilWritten<Result>(
  name: string,
  attempt: () => Promise<{ readonly result: Result } | undefined>,
): Promise<Result> {
  for (let tries = 0; tries < RECORD_CHANGES_MAX_TRIES; tries += 1) {
    const written = await attempt();
    if (written !== undefined) return written.result;
  }
  throw new LeewardError("conflict", `Others kept changing the record ${name}.`, { name });
}

/** Errors: `record-corrupt`. */
export function decodeBody<Body extends Versioned>(
  { name, version, owner = {}, fault }: RecordKind<Body>,
  bytes: Uint8Array,
): Body {
  const body = decodeRecord<Body>(name, version, bytes);
  const fields: ReadonlyMap<string, unknown> = new Map(Object.entries(body));
  for (const [field, wanted] of Object.entries(owner)) {
    if (fields.get(field) !== wanted)
      throw new LeewardError("record-corrupt", `The record ${name} is that of something else.`, { name, field });
  }
  const wrong = fault?.(body);
  if (wrong !== undefined) throw new LeewardError("record-corrupt", `The record ${name} ${wrong}.`, { name });
  return body;
}

/**
 * For a blob longer than any record that is ever stored; its reader knows its etag. Any other error is thrown again.
 */
function tooLarge(damage: LeewardError): Damaged {
  const { etag } = damage.facts;
  if (typeof etag !== "string") throw damage;
  return { damage, etag };
}
