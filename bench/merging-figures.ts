import { planPages } from "../replication/apply/plan.ts";
import type { DiskDescription } from "../replication/position.ts";
import { atMost, type Figure } from "./figure.ts";
import { deltasOf, epochsOf, extentsOf } from "./trace-deltas.ts";
import { textContent, type TraceWrite } from "./trace.ts";

/** Epoch lengths, each with its maximum of Put Pages per guest write. */
const EPOCHS = [
  { epochMs: 5_000, pages: 0.32 },
  { epochMs: 15_000, pages: undefined },
  { epochMs: 60_000, pages: 0.2 },
  { epochMs: 300_000, pages: undefined },
] as const;
/** Compressing is slow, and the share of the bytes is the same everywhere in the trace. */
const SENT_PART_MS = 300_000;

/**
 * Put Pages per guest write and bytes sent per guest byte, each epoch separately, on the trace alone: independent of
 * the machine.
 */
export function mergingFigures(trace: readonly TraceWrite[], disks: readonly DiskDescription[]): readonly Figure[] {
  const pages = EPOCHS.map(({ epochMs, pages }): Figure => {
    const putPages = epochsOf(trace, epochMs)
      .map(
        (epoch) => planPages([extentsOf(epoch, disks.length)]).filter((operation) => operation.kind === "put").length,
      )
      .reduce((sum, count) => sum + count, 0);
    return {
      name: `Put Pages per guest write, ${epochMs / 1000} s epochs`,
      value: putPages / trace.length,
      unit: "",
      goal: atMost(pages),
    };
  });
  const part = trace.filter((write) => write.atMs < SENT_PART_MS);
  const guestBytes = part.reduce((sum, write) => sum + write.lengthBytes, 0);
  let sentBytes = 0;
  for (const delta of deltasOf("bench", disks, epochsOf(part, 5_000), (write) =>
    textContent(write.content, write.lengthBytes),
  )) {
    sentBytes += delta.bytes.length;
  }
  const sent: Figure = {
    name: "bytes sent / guest bytes, text-like trace, 5 s epochs",
    value: sentBytes / guestBytes,
    unit: "x",
    goal: atMost(0.45),
  };
  return [...pages, sent];
}
