import { LeewardError } from "../../../replication/errors.ts";
import type { Azurite } from "../azurite-modules.ts";
import { mendChecksums } from "./checksums.ts";
import { mendCopies } from "./copies.ts";
import type { Undo } from "./patch.ts";

/** What is mended in Azurite 3.37.0; "durability" and "limits" say more in their files. */
export type MendName = "copies" | "checksums";

const MENDS: Readonly<Record<MendName, (azurite: Azurite) => Undo>> = {
  copies: mendCopies,
  checksums: mendChecksums,
};

/**
 * Makes exactly the mends that are not left out, before a server is built. The changes are those of the whole process: while storage runs, another selection
 * is refused with `internal`. The returned function ends this use; the last one takes the mends back.
 */
export function holdMends(azurite: Azurite, leaveOut: readonly MendName[]): () => void {
  const selection = (Object.keys(MENDS) as MendName[]).filter((name) => !leaveOut.includes(name)).join(" ");
  if (holders > 0 && selection !== current) {
    throw new LeewardError("internal", "Storage with other mends is running in this process.", { running: current, asked: selection });
  }
  if (holders === 0) {
    current = selection;
    undo = selection.split(" ").map((name) => MENDS[name as MendName](azurite));
  }
  holders++;
  let held = true;
  return () => {
    if (!held) return;
    held = false;
    holders--;
    if (holders === 0) for (const takeBack of undo.toReversed()) takeBack();
  };
}

let holders = 0;
let current = "";
let undo: Undo[] = [];
