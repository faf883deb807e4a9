import { findItem } from "../records/item-record.ts";
import type { OpenItem } from "./context.ts";
import { STREAM_LOOK_MS } from "./limits.ts";

/**
 * Whether `item.json` still announces the stream that the run works on (rule 5): the stream may be closed or replaced
 * between reading the item and the claim, and at any time later. Closing a stream waits for the claims that exist by
 * then, so that one of the two sees the other.
 */
export async function isStreamOpen({ context, item }: OpenItem): Promise<boolean> {
  return (await findItem(context.stores, item.itemId))?.item.stream === item.stream;
}

/**
 * The same for a holder, whose stream may also be closed while it stays warm. `now and then` checks the first time, and
 * then every STREAM_LOOK_MS: no batch needs a read.
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
