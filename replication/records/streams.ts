import { LeewardError, hasCode, invariant } from "../errors.ts";
import { STREAM_MAX } from "../limits.ts";
import { STREAMS_RECORD } from "../names.ts";
import type { Clock, ItemStores } from "../ports.ts";
import { type Position, startPosition } from "../position.ts";
import { nothing, unlessDamaged } from "./damaged.ts";
import { changeItem, findReadableItem, readItem } from "./item-record.ts";
import type { OpenStream, ProtectedItem } from "./item.ts";
import { type RecordAt, recordAt } from "./record.ts";

/**
 * `streams.json`: the stream numbers that were ever used under this name. It outlives the item. Changed by
 * compare-and-set only.
 */
export interface StreamsRecord {
  readonly version: 1;
  readonly itemId: string;
  /** The newest; no number up to it is used again. */
  readonly last: number;
}

type Opened = Pick<ProtectedItem, "itemId" | "stream" | "disks" | "nonce">;

/** The open stream of an item, as sent to its mobility service. Errors: `stream-closed`. */
export function openStream({ itemId, stream, disks, nonce }: Opened): OpenStream {
  if (nonce === undefined)
    throw new LeewardError("stream-closed", "The item has no open stream: it was failed over.", { itemId, stream });
  return { stream, start: startPosition(itemId, stream, disks, nonce), nonce };
}

/** Where the open stream begins. Errors: `stream-closed`. */
export const startOf = (item: Opened): Position => openStream(item).start;

/**
 * A stream number that no stream of any life of the item had before. Minted before anything of the stream is created;
 * leftovers of a crash are swept. A lost or damaged record is rebuilt from what the accounts show. Errors: `conflict`
 * after too many lost rounds, and those of the ports.
 */
export async function mintStream(stores: ItemStores, itemId: string): Promise<number> {
  const minted = await streamsRecord(stores, itemId).upsert(async (known): Promise<StreamsRecord> => {
    const last = (known?.last ?? (await lastSeen(stores, itemId))) + 1;
    invariant(last <= STREAM_MAX, "stream numbers are not used up", { itemId, last });
    return { version: 1, itemId, last };
  }, nothing);
  return minted.last;
}

/**
 * Ends the open stream, and none follows: a number is minted that is never opened, so that no worker claims the disks
 * any more, and later uploads of the source are swept (rule 5). Repeating it is harmless. `lastStream`: the newest
 * stream of the item's life that may be closed; later ones belong to a later life. Errors: `item-unknown`, `conflict`,
 * also when another stream was opened meanwhile.
 */
export async function closeStream(
  { stores, clock }: { readonly stores: ItemStores; readonly clock: Clock },
  itemId: string,
  lastStream: number,
): Promise<void> {
  const { item } = await readItem(stores, itemId);
  requireSameLife(item, lastStream);
  if (item.nonce === undefined) return;
  const closed = { stream: await mintStream(stores, itemId), nonce: undefined, openedMs: clock.now() };
  await changeItem(stores, itemId, (found) => {
    if (found.nonce === undefined) return found;
    // A repair has opened it, or the item lives again: a caller that slept has no say in that life.
    if (found.stream !== item.stream)
      throw new LeewardError("conflict", "Another stream of the item was opened meanwhile.", { itemId });
    return { ...found, ...closed };
  });
}

/**
 * A caller that slept past the life of the item has no say in the next one, whose streams have later numbers. Errors:
 * `conflict`.
 */
export function requireSameLife(
  { itemId, stream }: Pick<ProtectedItem, "itemId" | "stream">,
  lastStream: number,
): void {
  if (stream > lastStream)
    throw new LeewardError("conflict", "The item was protected again meanwhile.", { itemId, stream, lastStream });
}

/** The newest stream number that was ever used under this name; 0 before the first. */
export async function lastStreamOf(stores: ItemStores, itemId: string): Promise<number> {
  return (await findReadableStreams(stores, itemId))?.last ?? lastSeen(stores, itemId);
}

/** The record, as far as it can be read. */
export async function findReadableStreams(stores: ItemStores, itemId: string): Promise<StreamsRecord | undefined> {
  return (await unlessDamaged(() => streamsRecord(stores, itemId).find(), nothing))?.body;
}

function streamsRecord(stores: ItemStores, itemId: string): RecordAt<StreamsRecord> {
  return recordAt<StreamsRecord>(stores.management(itemId), { name: STREAMS_RECORD, version: 1, owner: { itemId } });
}

/**
 * The highest stream that left a trace. The cache account may be unreachable, with its region; each stream has a
 * container in the target account too.
 */
async function lastSeen(stores: ItemStores, itemId: string): Promise<number> {
  const announced = await findReadableItem(stores, itemId);
  const cached = await stores.listStreams(itemId, "cache").catch((error: unknown) => {
    if (hasCode(error, "store-unavailable", "store-refused")) return [];
    throw error;
  });
  return Math.max(0, announced?.stream ?? 0, ...cached, ...(await stores.listStreams(itemId, "target")));
}
