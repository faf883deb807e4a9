import { planPages } from "../replication/apply/plan.ts";
import { decodeDelta } from "../replication/delta/decode.ts";
import type { DiskDescription } from "../replication/position.ts";
import type { Figure } from "./figure.ts";
import { deltasOf, epochsOf } from "./trace-deltas.ts";
import type { Content } from "./trace-deltas.ts";
import { textContent } from "./trace.ts";
import type { TraceWrite } from "./trace.ts";

/** Put Pages per guest write and bytes sent per guest byte, at several epoch lengths, on the trace alone: nothing here depends on the machine. */
export function mergingFigures(trace: readonly TraceWrite[], disks: readonly DiskDescription[]): readonly Figure[] {
  const guestBytes = trace.reduce((sum, write) => sum + write.lengthBytes, 0);
  const text: Content = (write) => textContent(write.content, write.lengthBytes);
  const goals: Readonly<Record<number, { readonly pages?: number; readonly bytes?: number }>> = {
    5_000: { pages: 0.32, bytes: 0.45 },
    15_000: {},
    60_000: { pages: 0.2 },
    300_000: {},
  };
  return Object.entries(goals).flatMap(([epochMs, goal]): readonly Figure[] => {
    let putPages = 0;
    let sentBytes = 0;
    for (const delta of deltasOf("bench", disks, epochsOf(trace, Number(epochMs)), text)) {
      sentBytes += delta.bytes.length;
      putPages += planPages([decodeDelta(delta.bytes).extents]).filter((operation) => operation.kind === "put").length;
    }
    const seconds = Number(epochMs) / 1000;
    return [
      { name: `Put Pages per guest write, ${seconds} s epochs`, value: putPages / trace.length, unit: "", goal: atMost(goal.pages) },
      {
        name: `bytes sent per guest byte, text-like content, ${seconds} s epochs`,
        value: sentBytes / guestBytes,
        unit: "x",
        goal: atMost(goal.bytes),
      },
    ];
  });
}

function atMost(bound: number | undefined): Figure["goal"] {
  return bound === undefined ? undefined : { kind: "at-most", bound };
}
