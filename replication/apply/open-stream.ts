import { findItem } from "../records/item-record.ts";
import { STREAM_LOOK_MS } from "./limits.ts";
import type { OpenItem } from "./context.ts";

/**
 * Whether `item.json` still announces the stream that the run works on (rule 5): it may be closed, or followed by
 * another, between the look at the item and the claim, and at any time later. Whoever closes a stream waits for the
 * claims that stand by then, so that one of the two sees the other.
 */
export async function isStreamOpen({ context, item }: OpenItem): Promise<boolean> {
  return (await findItem(context.stores, item.itemId))?.item.stream === item.stream;
}

/**
 * The same for a holder. It may have been closed between the look at the item and the claim, or while the holder stayed
 * warm; whoever closes it waits for the claims that stand by then, so that one of the two sees the other. `now and
 * then` looks the first time, and then every STREAM_LOOK_MS: no batch needs a read.
 */
export function watchStream(open: OpenItem): (when: "now" | "now and then") => Promise<boolean> {
  const { clock } = open.context;
  let lookedMs = -Infinity;
  return async (when) => {
    if (when === "now and then" && Math.abs(clock.now() - lookedMs) < STREAM_LOOK_MS) return true;
    lookedMs = clock.now();
    return isStreamOpen(open);
  };
}
