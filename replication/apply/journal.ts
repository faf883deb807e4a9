import type { DecodedDelta } from "../delta/delta.ts";
import { LeewardError } from "../errors.ts";
import { journalName } from "../names.ts";
import type { Position } from "../position.ts";
import { whileBusy } from "./busy.ts";
import type { Claim } from "./claim.ts";
import { journalledAs } from "./journalled.ts";

/**
 * Step d of applying (docs/architecture.md) for one delta that follows `start`, before anything depends on it (rules 4
 * and 7). Create-only: an existing entry comes from a worker that died, and must mean the same; a damaged entry gives
 * way to the whole delta. With `intended` the chain is known to lead to the intent of the progress record, which
 * overrides any other entry. Errors: `position-fork` when the entry belongs to another history, `conflict` when it
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
    etag === undefined
      ? undefined
      : await whileBusy(open.context, { send: () => open.records.replace(name, bytes, etag), untilMs });
  if (replaced === undefined)
    throw new LeewardError("conflict", `The journal entry ${name} is being changed by somebody else.`, { name });
}
