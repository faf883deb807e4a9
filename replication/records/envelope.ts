import { hash } from "node:crypto";
import { LeewardError } from "../errors.ts";

/**
 * The envelope of every JSON record in the target account: `{"sha256":"<64 hex digits>","body":{...}}`, where the
 * digest covers the UTF-8 text of `body` as written (rule 6: bytes are checked before they are written and after they
 * are read). The store adds its place (placed-records.ts).
 */
export function encodeRecord(body: object): Uint8Array {
  const text = JSON.stringify(body);
  return ENCODER.encode(`{"sha256":"${digest(text)}","body":${text}}`);
}

/**
 * The body of a record of this version; `record-corrupt` when the place, the envelope, the digest or the version is
 * wrong. `name` is for the message only.
 */
export function decodeRecord<Body extends { readonly version: number }>(
  name: string,
  version: Body["version"],
  bytes: Uint8Array,
): Body {
  const text = DECODER.decode(bytes);
  const place = /^\{"place":"([^"]*)",/.exec(text)?.[1];
  if (place !== undefined) {
    const whose = place === "" ? "of a version that bound no record to its place" : `that of ${place}, or was damaged`;
    throw new LeewardError("record-corrupt", `What lies in the place of the record ${name} is ${whose}.`, {
      name,
      place,
    });
  }
  const match = /^\{"sha256":"([0-9a-f]{64})","body":(.*)\}$/s.exec(text);
  const bodyText = match?.[2];
  if (bodyText === undefined || digest(bodyText) !== match?.[1]) {
    throw new LeewardError("record-corrupt", `The record ${name} does not match its checksum.`, { name });
  }
  const body: unknown = JSON.parse(bodyText);
  if (typeof body !== "object" || body === null || !("version" in body) || body.version !== version) {
    throw new LeewardError("record-corrupt", `The record ${name} is not of version ${version}.`, { name, version });
  }
  // The digest shows that our own encoder wrote this body, and the version names its form.
  return body as Body;
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

function digest(text: string): string {
  return hash("sha256", text);
}
