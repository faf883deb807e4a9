import { LeewardError } from "../errors.ts";
import { RECORD_CHANGES_MAX_TRIES } from "../limits.ts";
import type { RecordStore } from "../ports.ts";
import { decodeRecord, encodeRecord } from "./records.ts";

interface Versioned {
  readonly version: number;
}

/** Undefined if there is none. Errors: `record-corrupt`. */
export async function readRecord<Body extends Versioned>(
  records: RecordStore,
  name: string,
  version: Body["version"],
): Promise<Body | undefined> {
  const stored = await records.read(name);
  return stored === undefined ? undefined : decodeRecord<Body>(name, version, stored.bytes);
}

/**
 * Makes or changes a record by compare-and-set and returns it as it stands then. `change` may be called several times; giving back what it was given
 * means that nothing has to be written. Errors: those that `change` throws, `record-corrupt`, `conflict` after too many lost rounds.
 */
export async function changeRecord<Body extends Versioned>(
  records: RecordStore,
  name: string,
  version: Body["version"],
  change: (found: Body | undefined) => Body,
): Promise<Body> {
  for (let tries = 0; tries < RECORD_CHANGES_MAX_TRIES; tries += 1) {
    const stored = await records.read(name);
    const found = stored === undefined ? undefined : decodeRecord<Body>(name, version, stored.bytes);
    const next = change(found);
    if (next === found) return next;
    const bytes = encodeRecord(next);
    const etag = stored === undefined ? await records.create(name, bytes) : await records.replace(name, bytes, stored.etag);
    if (etag !== undefined) return next;
  }
  throw new LeewardError("conflict", `The record ${name} was changed by others all the time.`, { name });
}
