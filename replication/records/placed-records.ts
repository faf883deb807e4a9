import { hash } from "node:crypto";
import type { RecordStore, StoredRecord } from "../ports.ts";

/**
 * Binds every JSON record to its container and name, so that a copy in another place, above all another item's, is no
 * record there (rule 6). Around the envelope of `encodeRecord` it writes `{"place":"{container}/{name}","bond":"<64 hex
 * digits>",...}`, where the bond is the digest of the place and of the envelope's own digest; a reader gets the
 * envelope without them. A record bound to another place, or to none, is returned as it is, and `decodeRecord` refuses
 * it. Other blobs pass through: deltas identify themselves.
 */
export function placedRecords(inner: RecordStore, container: string): RecordStore {
  const bound = (name: string, bytes: Uint8Array): Uint8Array => bind(`${container}/${name}`, bytes);
  return {
    ...inner,
    read: async (name, maxBytes) => {
      const stored = await inner.read(name, maxBytes);
      return stored && unbind(`${container}/${name}`, stored);
    },
    create: (name, bytes) => inner.create(name, bound(name, bytes)),
    replace: (name, bytes, etag) => inner.replace(name, bound(name, bytes), etag),
    put: (name, bytes) => inner.put(name, bound(name, bytes)),
  };
}

const ENVELOPE = '{"sha256":"';
const PLACED = '{"place":"';
const DIGEST_LENGTH = 64;

function bind(place: string, bytes: Uint8Array): Uint8Array {
  if (!beginsWith(bytes, ENVELOPE)) return bytes;
  const digest = textOf(bytes.subarray(ENVELOPE.length, ENVELOPE.length + DIGEST_LENGTH));
  return joined(`{${placeFields(place, digest)},`, bytes.subarray(1));
}

function unbind(place: string, stored: StoredRecord): StoredRecord {
  const { bytes, etag } = stored;
  if (beginsWith(bytes, ENVELOPE)) return { bytes: joined('{"place":"",', bytes.subarray(1)), etag };
  if (!beginsWith(bytes, PLACED)) return stored;
  // Names and digests are ASCII, so that the fields of this place always have this length.
  const at = `{${fieldsOf(place, "")},`.length + DIGEST_LENGTH;
  const envelope = joined("{", bytes.subarray(at));
  const digest = textOf(envelope.subarray(ENVELOPE.length, ENVELOPE.length + DIGEST_LENGTH));
  const own = beginsWith(bytes, `{${placeFields(place, digest)},`) && beginsWith(envelope, ENVELOPE);
  return own ? { bytes: envelope, etag } : stored;
}

function placeFields(place: string, digest: string): string {
  return fieldsOf(place, hash("sha256", `${place}\n${digest}`));
}

const fieldsOf = (place: string, bond: string): string => `"place":${JSON.stringify(place)},"bond":"${bond}"`;

function beginsWith(bytes: Uint8Array, text: string): boolean {
  return bytes.length >= text.length && textOf(bytes.subarray(0, text.length)) === text;
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

const textOf = (bytes: Uint8Array): string => DECODER.decode(bytes);

function joined(head: string, tail: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.length + tail.length);
  ENCODER.encodeInto(head, bytes);
  bytes.set(tail, head.length);
  return bytes;
}
