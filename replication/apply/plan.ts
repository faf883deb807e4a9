import type { Extent } from "../delta/delta.ts";
import { createExtentMap, part, type DataRun, type ExtentMap } from "../delta/extents.ts";
import { spansOf, type Span } from "../delta/spans.ts";
import { PUT_PAGE_MAX_BYTES, ZERO_FILL_MAX_BYTES } from "../limits.ts";

/** One request to a target disk. `disk` is the index in the disk table. */
export type PageOperation = PutPage | ClearPages;

/**
 * Bytes that no run covers are zero. A run's source is the index of its delta in the batch, and its source offset the
 * offset on the disk.
 */
export interface PutPage {
  readonly kind: "put";
  readonly disk: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly runs: readonly DataRun<number>[];
}
interface ClearPages {
  readonly kind: "clear";
  readonly disk: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * Step f of applying (docs/architecture.md), without the writing: merges the extents of a batch's deltas in their
 * order, so that the last content of each sector wins, and covers exactly those sectors with as few requests as
 * possible. They come in the order of disk and offset and never overlap, so the order in which they land does not
 * matter. Sectors that no delta names are never touched, because their content is unknown here.
 */
export function planPages(deltas: readonly (readonly Extent[])[]): readonly PageOperation[] {
  const maps = mergeExtents(deltas);
  const disks = [...maps.keys()].toSorted((left, right) => left - right);
  return disks.flatMap((disk) => {
    const map = maps.get(disk);
    return map === undefined ? [] : foldZeros(spansOf(map.entries(), Infinity)).flatMap((span) => cut(disk, span));
  });
}

function mergeExtents(deltas: readonly (readonly Extent[])[]): ReadonlyMap<number, ExtentMap<number>> {
  const maps = new Map<number, ExtentMap<number>>();
  for (const [source, extents] of deltas.entries()) {
    for (const { kind, disk, offsetBytes, lengthBytes } of extents) {
      const map = maps.get(disk) ?? createExtentMap<number>();
      maps.set(disk, map);
      map.insert(
        kind === "zero"
          ? { kind, offsetBytes, lengthBytes }
          : { kind, offsetBytes, lengthBytes, source, sourceOffsetBytes: offsetBytes },
      );
    }
  }
  return maps;
}

/** A span that grows while zeros are folded into it. */
interface Block {
  kind: "zero" | "data";
  readonly offsetBytes: number;
  lengthBytes: number;
  readonly runs: DataRun<number>[];
}

/**
 * Sends a short run of zeros inside the Put Page of the data that touches it, wherever that takes fewer requests than
 * clearing it. Joining on both sides never takes more than joining on one: the zeros are shorter than the most that one
 * request carries.
 */
function foldZeros(spans: Iterable<Span<number>>): readonly Block[] {
  const folded: Block[] = [];
  for (const span of spans) {
    const zero = folded.at(-1);
    if (span.kind === "zero" || zero?.kind !== "zero" || !touches(zero, span)) {
      foldTail(folded);
      folded.push({ ...span, runs: span.kind === "data" ? [...span.runs] : [] });
      continue;
    }
    const before = folded.at(-2);
    const head = before?.kind === "data" && touches(before, zero) ? before : undefined;
    if (saves(head, zero, span)) {
      if (head !== undefined) folded.pop();
      const block = head ?? zero;
      block.kind = "data";
      block.lengthBytes += span.lengthBytes + (head === undefined ? 0 : zero.lengthBytes);
      for (const run of span.runs) block.runs.push(run);
    } else folded.push({ ...span, runs: [...span.runs] });
  }
  foldTail(folded);
  return folded;
}

/** Zeros at the end that no data follows, after data whose last request has space left. */
function foldTail(folded: Block[]): void {
  const [head, zero] = [folded.at(-2), folded.at(-1)];
  if (head?.kind !== "data" || zero?.kind !== "zero" || !touches(head, zero) || !saves(head, zero, undefined)) return;
  head.lengthBytes += zero.lengthBytes;
  folded.pop();
}

interface Place {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

function touches(left: Place, right: Place): boolean {
  return left.offsetBytes + left.lengthBytes === right.offsetBytes;
}

function saves(head: Place | undefined, zero: Place, tail: Place | undefined): boolean {
  if (zero.lengthBytes > ZERO_FILL_MAX_BYTES) return false;
  const headBytes = head?.lengthBytes ?? 0;
  const tailBytes = tail?.lengthBytes ?? 0;
  return putPages(headBytes + zero.lengthBytes + tailBytes) < putPages(headBytes) + 1 + putPages(tailBytes);
}

function putPages(lengthBytes: number): number {
  return Math.ceil(lengthBytes / PUT_PAGE_MAX_BYTES);
}

/** Cuts data at every PUT_PAGE_MAX_BYTES; Clear Pages takes any length. */
function cut(disk: number, span: Block): readonly PageOperation[] {
  const { offsetBytes, lengthBytes } = span;
  if (span.kind === "zero") return [{ kind: "clear", disk, offsetBytes, lengthBytes }];
  const end = offsetBytes + lengthBytes;
  const puts: PutPage[] = [];
  let next = 0;
  for (let from = offsetBytes; from < end; from += PUT_PAGE_MAX_BYTES) {
    const to = Math.min(end, from + PUT_PAGE_MAX_BYTES);
    const runs: DataRun<number>[] = [];
    for (let run = span.runs[next]; run !== undefined && run.offsetBytes < to; run = span.runs[next]) {
      const runEnd = run.offsetBytes + run.lengthBytes;
      const piece = part(run, Math.max(run.offsetBytes, from), Math.min(runEnd, to));
      if (piece.kind === "data") runs.push(piece);
      // The next request handles the rest of a run that reaches into it.
      if (runEnd > to) break;
      next += 1;
    }
    puts.push({ kind: "put", disk, offsetBytes: from, lengthBytes: to - from, runs });
  }
  return puts;
}
