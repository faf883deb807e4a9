import { sameBytes } from "../delta/bytes.ts";
import type { DecodedDelta } from "../delta/delta.ts";
import { LeewardError, hasCode } from "../errors.ts";
import { journalName } from "../items/names.ts";
import { samePosition } from "../position.ts";
import type { Position } from "../position.ts";
import { whileBusy } from "./busy.ts";
import { checkDelta, fork } from "./check-delta.ts";
import type { Claim } from "./claim.ts";
import type { OpenItem } from "./context.ts";

/**
 * Step d of DESIGN 6 for one delta that follows `start`, before anything depends on it (rules 4 and 7). Create-only: what is there already was put there by a
 * worker that died, and must mean the same; an entry that is damaged gives way to the whole delta. With `intended` the chain is known to lead to the intent
 * of the progress record, which decides against whatever else is there. Errors: `position-fork` when another history is there, `conflict` when the entry
 * changes meanwhile.
 */
export async function putIntoJournal(
  claim: Claim,
  start: Position,
  { end }: DecodedDelta,
  bytes: Uint8Array,
  intended: boolean,
): Promise<void> {
  const { open } = claim;
  await claim.keep();
  const name = journalName(end.stream, end.epoch);
  const untilMs = (): number => claim.progress().expiresMs;
  if ((await whileBusy(open.context, { send: () => open.records.create(name, bytes), untilMs })) !== undefined) return;
  const entry = await open.largeBatches.alone(() => journalledAs(open, start, end, { bytes, intended }));
  if (entry.kind === "same") return;
  const { etag } = entry;
  const replaced =
    etag === undefined ? undefined : await whileBusy(open.context, { send: () => open.records.replace(name, bytes, etag), untilMs });
  if (replaced === undefined) throw new LeewardError("conflict", `The journal entry ${name} is being changed by somebody else.`, { name });
}

/** `other`: nothing, or (with its etag) what gives way to the delta. */
type JournalEntry = { readonly kind: "same" } | { readonly kind: "other"; readonly etag: string | undefined };

/**
 * What the journal has in the place of a delta that leads from `start` to `end`. Errors: `position-fork` when it is a whole delta of another history, unless
 * `end` is `intended`; `delta-unsupported`, since a newer version put it there.
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
    // Other bytes may carry the same delta, compressed in another way: positions are made of plain checksums.
    const held = checkDelta(open, start, present.bytes, "journal");
    if (samePosition(held.end, end)) return { kind: "same" };
    throw fork("The journal holds another delta under this name than the cache.", end, held.end, "journal");
  } catch (error) {
    if (!hasCode(error, ...DAMAGED, ...(own?.intended === true ? (["position-fork"] as const) : []))) throw error;
    const tooLarge = error.facts["etag"];
    return { kind: "other", etag: etag ?? (typeof tooLarge === "string" ? tooLarge : undefined) };
  }
}

/** No delta of this item and epoch, whoever wrote it. */
const DAMAGED = ["delta-corrupt", "delta-too-large", "delta-foreign"] as const;
