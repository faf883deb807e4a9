import { hasCode } from "../errors.ts";
import { OLD_STREAM_KEEP_MS, SWEEP_MAX_STREAMS } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import type { StreamPlace } from "../ports.ts";
import type { ProtectedItem } from "../records/item.ts";

/**
 * Removes the containers of streams older than the one that `item.json` announces: page blobs when no recovery point
 * needs them, deltas always, since what points need of them is in the journal. Waits until every grant has ended and
 * every worker knows of the new stream. Leftovers of a stream that was never announced go too. `needed` are the streams
 * of all points that may exist. Returns how many containers were removed; the cache account may be unreachable.
 */
export async function sweepStreams(
  context: ItemContext,
  item: ProtectedItem,
  needed: ReadonlySet<number>,
): Promise<number> {
  // The usual item has had one stream: it needs no request to the accounts.
  if (item.stream <= 1 || context.clock.now() - item.openedMs <= OLD_STREAM_KEEP_MS) return 0;
  const inTarget = await removeOld(context, item, "target", needed);
  try {
    return inTarget + (await removeOld(context, item, "cache", new Set()));
  } catch (error) {
    if (hasCode(error, "store-unavailable", "store-refused", "outcome-unknown")) return inTarget;
    throw error;
  }
}

async function removeOld(
  { stores }: ItemContext,
  item: ProtectedItem,
  place: StreamPlace,
  needed: ReadonlySet<number>,
): Promise<number> {
  const old = (await stores.listStreams(item.itemId, place)).filter(
    (stream) => stream < item.stream && !needed.has(stream),
  );
  const bounded = old.slice(0, SWEEP_MAX_STREAMS);
  for (const stream of bounded) await stores.removeStream(item.itemId, stream, place);
  return bounded.length;
}
