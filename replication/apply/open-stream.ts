import { findItem } from "../items/item-record.ts";
import { STREAM_LOOK_MS } from "./limits.ts";
import type { OpenItem } from "./context.ts";

/** Whether `item.json` still announces the stream that the run works on (rule 5): it may be closed, or followed by another, at any time. */
export async function isStreamOpen({ context, item }: OpenItem): Promise<boolean> {
  return (await findItem(context.stores, item.itemId))?.item.stream === item.stream;
}

/** The same, asked at most every STREAM_LOOK_MS after a first time that has just been: a holder that stays warm learns of it without a read for each batch. */
export function watchStream(open: OpenItem): () => Promise<boolean> {
  const { clock } = open.context;
  let lookedMs = clock.now();
  return async () => {
    if (Math.abs(clock.now() - lookedMs) < STREAM_LOOK_MS) return true;
    lookedMs = clock.now();
    return isStreamOpen(open);
  };
}
