import { LocalError } from "../../errors.ts";
import type { Azurite } from "../azurite-modules.ts";
import { mendBearer } from "./bearer.ts";
import { mendChecksums } from "./checksums.ts";
import { mendCopies } from "./copies.ts";
import { mendLimits } from "./limits.ts";
import { mendPageRangesDiff } from "./page-ranges-diff.ts";
import type { Undo } from "./patch.ts";
import { mendSnapshotIds } from "./snapshot-ids.ts";

/**
 * The mends to Azurite 3.37.0's code; each file describes its fault. Durability is added around the servers:
 * storage/redo.
 */
export type MendName = "copies" | "page-ranges-diff" | "checksums" | "snapshot-ids" | "limits" | "bearer";

const MENDS: readonly { readonly name: MendName; readonly mend: (azurite: Azurite) => Undo }[] = [
  { name: "copies", mend: mendCopies },
  { name: "page-ranges-diff", mend: mendPageRangesDiff },
  { name: "checksums", mend: mendChecksums },
  { name: "snapshot-ids", mend: mendSnapshotIds },
  { name: "limits", mend: mendLimits },
  { name: "bearer", mend: mendBearer },
];

/**
 * Applies exactly the mends not left out, before a server is built. They affect the whole process: while storage runs,
 * another selection is refused with `internal`. The returned function ends this use; the last one undoes the mends.
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
