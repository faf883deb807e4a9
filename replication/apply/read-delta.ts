import { hasCode } from "../errors.ts";
import type { LeewardError } from "../errors.ts";
import type { Progress } from "../items/item.ts";
import { deltaName, journalName } from "../items/names.ts";
import type { OpenItem } from "./context.ts";

export type FoundDelta =
  | { readonly kind: "found"; readonly bytes: Uint8Array; readonly place: "cache" | "journal" }
  /** `cacheFailure` is set when the cache could not be asked: then nobody knows whether the delta is there. */
  | { readonly kind: "missing"; readonly cacheFailure: LeewardError | undefined };

/**
 * The bytes of one epoch, by computed name (rule 5), of the stream of `progress` only. Up to `intent` the journal is asked first: it has every delta
 * of a batch that was begun, in the target's own region (rule 7). Behind `intent` the cache is asked first, and the journal (only with "everywhere")
 * for what a worker put there before it died: if the source region is lost meanwhile, that copy is the only one.
 */
export async function readNextDelta(
  open: OpenItem,
  progress: Progress,
  epoch: number,
  where: "everywhere" | "cache-beyond-intent",
): Promise<FoundDelta> {
  const begun = epoch <= progress.intent.epoch;
  if (begun) {
    const bytes = await fromJournal(open, progress.stream, epoch);
    if (bytes !== undefined) return { kind: "found", bytes, place: "journal" };
  }
  const cached = await fromCache(open, progress, epoch);
  if (cached instanceof Uint8Array) return { kind: "found", bytes: cached, place: "cache" };
  if (!begun && where === "everywhere") {
    const bytes = await fromJournal(open, progress.stream, epoch);
    if (bytes !== undefined) return { kind: "found", bytes, place: "journal" };
  }
  return { kind: "missing", cacheFailure: cached };
}

async function fromJournal(open: OpenItem, stream: number, epoch: number): Promise<Uint8Array | undefined> {
  return (await open.records.read(journalName(stream, epoch)))?.bytes;
}

/** The bytes, undefined if the cache has none, or the failure when it cannot be reached: a lost source region must not keep the journal from being used. */
async function fromCache(open: OpenItem, progress: Progress, epoch: number): Promise<Uint8Array | LeewardError | undefined> {
  try {
    return (await open.cache.read(deltaName(progress.stream, epoch)))?.bytes;
  } catch (error) {
    if (!hasCode(error, "store-unavailable", "store-refused")) throw error;
    open.context.log({
      kind: "cache-unreachable",
      itemId: open.item.itemId,
      generation: progress.generation,
      message: error.message,
    });
    return error;
  }
}
