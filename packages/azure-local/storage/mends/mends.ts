import { LocalError } from "../../errors.ts";
import type { Azurite } from "../azurite-modules.ts";
import { mendChecksums } from "./checksums.ts";
import { mendCopies } from "./copies.ts";
import { mendLimits } from "./limits.ts";
import { mendPageRangesDiff } from "./page-ranges-diff.ts";
import type { Undo } from "./patch.ts";
import { mendSnapshotIds } from "./snapshot-ids.ts";

/**
 * What is mended in the code of Azurite 3.37.0; each file says what the fault is. Durability stands around the servers:
 * storage/redo.
 */
export type MendName = "copies" | "page-ranges-diff" | "checksums" | "snapshot-ids" | "limits";

const MENDS: readonly { readonly name: MendName; readonly mend: (azurite: Azurite) => Undo }[] = [
  { name: "copies", mend: mendCopies },
  { name: "page-ranges-diff", mend: mendPageRangesDiff },
  { name: "checksums", mend: mendChecksums },
  { name: "snapshot-ids", mend: mendSnapshotIds },
  { name: "limits", mend: mendLimits },
];

/**
 * Makes exactly the mends that are not left out, before a server is built. The changes are those of the whole process:
 * while storage runs, another selection is refused with `internal`. The returned function ends this use; the last one
 * takes the mends back.
 */
export function holdMends(azurite: Azurite, leaveOut: readonly string[]): () => void {
  const chosen = MENDS.filter(({ name }) => !leaveOut.includes(name));
  const selection = chosen.map(({ name }) => name).join(" ");
  if (holders > 0 && selection !== current) {
    throw new LocalError("internal", "Storage with other mends is running in this process.", {
      running: current,
      asked: selection,
    });
  }
  if (holders === 0) {
    current = selection;
    undo = chosen.map(({ mend }) => mend(azurite));
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
