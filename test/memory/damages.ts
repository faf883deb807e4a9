import { encodeRecord } from "../../replication/records/envelope.ts";

const bodyOf = (bytes: Uint8Array): object =>
  (JSON.parse(new TextDecoder().decode(bytes)) as { readonly body: object }).body;

/**
 * Possible damage to a record's bytes: bits flipped in every part of envelope and body, cut short, empty, of an older
 * version.
 */
export function damages(bytes: Uint8Array, flips = 40): readonly Uint8Array[] {
  const step = Math.max(1, Math.floor(bytes.length / flips));
  return [
    ...Array.from({ length: Math.ceil(bytes.length / step) }, (_, count) =>
      bytes.map((byte, at) => (at === count * step ? byte ^ 1 : byte)),
    ),
    bytes.slice(0, bytes.length / 2),
    bytes.slice(0, -1),
    new Uint8Array(),
    encodeRecord({ ...bodyOf(bytes), version: 0 }),
  ];
}
