import { part, type DataRun, type Run } from "./extents.ts";

/** An unbroken piece of a disk of one kind: zeros, or data from one or more sources, one behind the other. */
export type Span<Source> =
  | { readonly kind: "zero"; readonly offsetBytes: number; readonly lengthBytes: number }
  | {
      readonly kind: "data";
      readonly offsetBytes: number;
      readonly lengthBytes: number;
      readonly runs: readonly DataRun<Source>[];
    };

/**
 * Joins adjacent runs of a map to spans, whatever their sources: as few and as large extents or page writes as
 * possible. Data spans are cut at every `maximumDataBytes` from their beginning, zero spans never. Runs come sorted and
 * not overlapping, as `ExtentMap.entries` yields them.
 */
export function* spansOf<Source>(runs: Iterable<Run<Source>>, maximumDataBytes: number): Generator<Span<Source>> {
  let open: OpenSpan<Source> | undefined;
  for (const run of runs) {
    let from = run.offsetBytes;
    const end = run.offsetBytes + run.lengthBytes;
    while (from < end) {
      const full = open !== undefined && open.kind === "data" && open.lengthBytes === maximumDataBytes;
      if (open === undefined || full || open.kind !== run.kind || open.offsetBytes + open.lengthBytes !== from) {
        if (open !== undefined) yield closed(open);
        open = { kind: run.kind, offsetBytes: from, lengthBytes: 0, runs: [] };
      }
      const to: number = run.kind === "zero" ? end : Math.min(end, open.offsetBytes + maximumDataBytes);
      const piece = part(run, from, to);
      if (piece.kind === "data") open.runs.push(piece);
      open.lengthBytes += to - from;
      from = to;
    }
  }
  if (open !== undefined) yield closed(open);
}

interface OpenSpan<Source> {
  readonly kind: "zero" | "data";
  readonly offsetBytes: number;
  lengthBytes: number;
  readonly runs: DataRun<Source>[];
}

function closed<Source>({ kind, offsetBytes, lengthBytes, runs }: OpenSpan<Source>): Span<Source> {
  return kind === "zero" ? { kind, offsetBytes, lengthBytes } : { kind, offsetBytes, lengthBytes, runs };
}
