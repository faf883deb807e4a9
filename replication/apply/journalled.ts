import { sameBytes } from "../delta/bytes.ts";
import { hasCode } from "../errors.ts";
import { journalName } from "../names.ts";
import { type Position, samePosition } from "../position.ts";
import { checkDelta, fork } from "./check-delta.ts";
import type { OpenItem } from "./context.ts";

/** `other`: nothing, or (with its etag) an entry that gives way to the delta. */
type JournalEntry = { readonly kind: "same" } | { readonly kind: "other"; readonly etag: string | undefined };

/**
 * Compares the journal's entry with a delta that leads from `start` to `end`. Errors: `position-fork` when it is a
 * whole delta of another history, unless `end` is `intended`; `delta-unsupported`, since a newer version put it there.
 */
export async function journalledAs(
  open: OpenItem,
  start: Position,
  end: Position,
  own?: { readonly bytes: Uint8Array; readonly intended: boolean },
): Promise<JournalEntry> {
  let etag: string | undefined;
  try {
    const present = await open.records.read(journalName(end.stream, end.epoch));
    if (present === undefined) return { kind: "other", etag };
    etag = present.etag;
    if (own !== undefined && sameBytes(present.bytes, own.bytes)) return { kind: "same" };
    // Other bytes may carry the same delta, compressed differently: positions are made of plain checksums.
    const held = checkDelta(open, start, present.bytes, "journal");
    if (samePosition(held.end, end)) return { kind: "same" };
    throw fork("The journal holds another delta under this name than the cache.", end, held.end, "journal");
  } catch (error) {
    if (!hasCode(error, ...DAMAGED, ...(own?.intended === true ? (["position-fork"] as const) : []))) throw error;
    const tooLarge = error.facts["etag"];
    return { kind: "other", etag: etag ?? (typeof tooLarge === "string" ? tooLarge : undefined) };
  }
}

/** No delta of this item and epoch, whatever wrote it. */
const DAMAGED = ["delta-corrupt", "delta-too-large", "delta-foreign"] as const;
