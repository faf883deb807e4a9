import { hasCode, type LeewardError } from "../errors.ts";
import { deltaName, journalName } from "../names.ts";
import type { Progress } from "../records/item.ts";
import type { OpenItem } from "./context.ts";

/**
 * The bytes of one epoch, by computed name (rule 5); undefined if the journal has none. Errors: `delta-too-large` for
 * more than `maxBytes`.
 */
export async function fromJournal(
  open: OpenItem,
  stream: number,
  epoch: number,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  return (await open.records.read(journalName(stream, epoch), maxBytes))?.bytes;
}

/**
 * The bytes, of the stream of `progress` only; undefined if the cache has none, or the failure when it cannot be
 * reached: a lost source region must not block the journal. Errors: `delta-too-large` for more than `maxBytes`.
 */
export async function fromCache(
  open: OpenItem,
  progress: Progress,
  epoch: number,
  maxBytes: number,
): Promise<Uint8Array | LeewardError | undefined> {
  try {
    return (await open.cache.read(deltaName(progress.stream, epoch), maxBytes))?.bytes;
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
