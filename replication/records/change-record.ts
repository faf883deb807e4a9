import { LeewardError } from "../errors.ts";
import { RECORD_CHANGES_MAX_TRIES } from "../limits.ts";
import type { RecordStore } from "../ports.ts";
import { decodeRecord, encodeRecord } from "./envelope.ts";

interface Versioned {
  readonly version: number;
}

/** Whose record it must be; another item's in its place is as good as a damaged one. */
export type Owner<Body> = Partial<Body>;

/** Undefined if there is none. Errors: `record-corrupt`. */
export async function readRecord<Body extends Versioned>(
  records: RecordStore,
  name: string,
  version: Body["version"],
  owner: Owner<Body> = {},
): Promise<Body | undefined> {
  const stored = await records.read(name);
  return stored === undefined ? undefined : decodeOwn(name, version, stored.bytes, owner);
}

/** Errors: `record-corrupt`. */
export function decodeOwn<Body extends Versioned>(
  name: string,
  version: Body["version"],
  bytes: Uint8Array,
  owner: Owner<Body>,
): Body {
  const body = decodeRecord<Body>(name, version, bytes);
  for (const [field, wanted] of Object.entries(owner)) {
    const found: unknown = Object.entries(body).find(([each]) => each === field)?.[1];
    if (found !== wanted)
      throw new LeewardError("record-corrupt", `The record ${name} is that of something else.`, { name, field });
  }
  return body;
}

/**
 * Makes or changes a record by compare-and-set and returns it as it stands then. `change` may be called several times;
 * giving back what it was given means that nothing has to be written. Errors: those that `change` throws,
 * `record-corrupt`, `conflict` after too many lost rounds.
 */
export async function changeRecord<Body extends Versioned>(
  records: RecordStore,
  name: string,
  version: Body["version"],
  change: (found: Body | undefined) => Body,
  owner: Owner<Body> = {},
): Promise<Body> {
  for (let tries = 0; tries < RECORD_CHANGES_MAX_TRIES; tries += 1) {
    const stored = await records.read(name);
    const found = stored === undefined ? undefined : decodeOwn<Body>(name, version, stored.bytes, owner);
    const next = change(found);
    if (next === found) return next;
    const bytes = encodeRecord(next);
    const etag =
      stored === undefined ? await records.create(name, bytes) : await records.replace(name, bytes, stored.etag);
    if (etag !== undefined) return next;
  }
  throw new LeewardError("conflict", `The record ${name} was changed by others all the time.`, { name });
}
