import { decodeDelta } from "../delta/decode.ts";
import { hasCode } from "../errors.ts";
import { journalName } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import { type Position, samePosition } from "../position.ts";
import type { Progress } from "../records/item.ts";
import { deltaEnd, judgedEtag } from "../service/settle.ts";

/** The journal's entry for an epoch. `damaged`: no delta of this item and epoch; with its etag. */
export type JournalLook =
  | { readonly kind: "none" }
  | { readonly kind: "whole"; readonly end: Position; readonly bytes: Uint8Array }
  | { readonly kind: "damaged"; readonly etag: string | undefined };

export async function lookAtJournal(
  { stores }: ItemContext,
  itemId: string,
  stream: number,
  epoch: number,
): Promise<JournalLook> {
  let etag: string | undefined;
  try {
    const stored = await stores.records(itemId).read(journalName(stream, epoch));
    if (stored === undefined) return { kind: "none" };
    etag = stored.etag;
    return { kind: "whole", end: deltaEnd(stored.bytes, itemId, { stream, epoch }), bytes: stored.bytes };
  } catch (error) {
    if (!hasCode(error, "delta-corrupt", "delta-foreign", "delta-too-large", "delta-unsupported")) throw error;
    return { kind: "damaged", etag: etag ?? judgedEtag(error) };
  }
}

/**
 * Writes a delta that was applied to the journal where its entry is missing or damaged: the cache may then lose it
 * (rule 4). False, and nothing changes, when nothing shows that it was applied: another history may have reached the
 * cache since.
 */
export async function mendJournal(
  context: ItemContext,
  itemId: string,
  progress: Progress,
  found: Exclude<JournalLook, { readonly kind: "whole" }>,
  delta: { readonly end: Position; readonly bytes: Uint8Array },
): Promise<boolean> {
  const { end, bytes } = delta;
  if (!(await wasApplied(context, itemId, progress, end))) return false;
  const records = context.stores.records(itemId);
  const name = journalName(end.stream, end.epoch);
  if (found.kind === "none") return (await records.create(name, bytes)) !== undefined;
  return found.etag !== undefined && (await records.replace(name, bytes, found.etag)) !== undefined;
}

/** The target is at its end, or what was applied after it begins there. */
async function wasApplied(
  { stores }: ItemContext,
  itemId: string,
  { applied }: Progress,
  end: Position,
): Promise<boolean> {
  if (samePosition(applied, end)) return true;
  if (applied.stream !== end.stream || end.epoch >= applied.epoch) return false;
  const next = await stores.records(itemId).read(journalName(end.stream, end.epoch + 1));
  if (next === undefined) return false;
  try {
    return samePosition(decodeDelta(next.bytes).header.start, end);
  } catch (error) {
    if (hasCode(error, "delta-corrupt", "delta-unsupported")) return false;
    throw error;
  }
}
