import { sameBytes } from "../delta/bytes.ts";
import type { DecodedDelta } from "../delta/delta.ts";
import { invariant } from "../errors.ts";
import { journalName } from "../items/names.ts";
import { samePosition } from "../position.ts";
import type { Position } from "../position.ts";
import { whileBusy } from "./busy.ts";
import { checkDelta, fork } from "./check-delta.ts";
import type { Claim } from "./claim.ts";

/**
 * Step d of DESIGN 6 for one delta that follows `start`, before anything depends on it (rules 4 and 7). Create-only: what is there already was put there by a
 * worker that died, and must mean the same. Errors: `position-fork` when it does not.
 */
export async function putIntoJournal(claim: Claim, start: Position, delta: DecodedDelta, bytes: Uint8Array): Promise<void> {
  const { open } = claim;
  await claim.keep();
  const name = journalName(delta.end.stream, delta.end.epoch);
  const created = await whileBusy(open.context, {
    send: () => open.records.create(name, bytes),
    untilMs: () => claim.progress().expiresMs,
  });
  if (created !== undefined) return;
  const present = await open.records.read(name);
  if (present !== undefined && sameBytes(present.bytes, bytes)) return;
  invariant(present !== undefined, "the journal keeps what it holds while it may be needed", { name });
  // Other bytes may carry the same delta, compressed in another way: positions are made of plain checksums.
  const held = checkDelta(open, start, present.bytes, "journal");
  if (!samePosition(held.end, delta.end)) {
    throw fork("The journal holds another delta under this name than the cache.", delta.end, held.end, "journal");
  }
}
