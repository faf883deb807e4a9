/**
 * The newest content of each sector of one disk: an ordered map of runs in which the last insert wins. The mobility
 * service keeps the open epoch in one (`source` is a journal segment), the worker merges a batch of deltas in one
 * (`source` is a frame of a delta).
 */
export interface ExtentMap<Source> {
  /**
   * Lays a run over whatever was there: older runs are cut or removed, and neighbours that continue each other become
   * one.
   */
  insert(run: Run<Source>): void;
  /** All runs in the order of their offsets, never overlapping. The map must not change meanwhile. */
  entries(): Generator<Run<Source>>;
  /** Runs in the map. The caller bounds it (EPOCH_MAX_EXTENTS, BATCH_MAX_BYTES); one insert adds at most two. */
  count(): number;
  /** Bytes in data runs. */
  dataBytes(): number;
}

/**
 * A run of bytes with one origin. Its content is in `source` from `sourceOffsetBytes` on; cutting the run moves that
 * offset along.
 */
export type Run<Source> = ZeroRun | DataRun<Source>;
interface ZeroRun {
  readonly kind: "zero";
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}
export interface DataRun<Source> {
  readonly kind: "data";
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Opaque; runs are joined when theirs are the same (`===`) and their content is adjacent there too. */
  readonly source: Source;
  readonly sourceOffsetBytes: number;
}

/** Runs of one chunk. An insert moves at most this many pointers, and the list of chunks stays short. */
const CHUNK_MAX_RUNS = 256;

export function createExtentMap<Source>(): ExtentMap<Source> {
  // Chunks are never empty; runs lie in order inside a chunk and from chunk to chunk.
  const chunks: Run<Source>[][] = [];
  let count = 0;
  let dataBytes = 0;

  function account(run: Run<Source>, sign: 1 | -1): void {
    count += sign;
    if (run.kind === "data") dataBytes += sign * run.lengthBytes;
  }

  return {
    insert(run) {
      if (run.lengthBytes <= 0) return;
      // The runs that overlap or touch the new one: from (first.chunk, first.index) up to, not including, (chunk,
      // index).
      const first = firstEndingAtOrBehind(chunks, run.offsetBytes);
      let { chunk, index } = first;
      let oldest: Run<Source> | undefined;
      let newest: Run<Source> | undefined;
      for (
        let old = chunks[chunk]?.[index];
        old !== undefined && old.offsetBytes <= endOf(run);
        old = chunks[chunk]?.[index]
      ) {
        oldest ??= old;
        newest = old;
        account(old, -1);
        index += 1;
        if (index === chunks[chunk]?.length && chunk + 1 < chunks.length) {
          chunk += 1;
          index = 0;
        }
      }
      const pieces: Run<Source>[] = [];
      if (oldest !== undefined && oldest.offsetBytes < run.offsetBytes) {
        pushJoined(pieces, part(oldest, oldest.offsetBytes, run.offsetBytes));
      }
      pushJoined(pieces, run);
      if (newest !== undefined && endOf(newest) > endOf(run))
        pushJoined(pieces, part(newest, endOf(run), endOf(newest)));
      for (const piece of pieces) account(piece, 1);
      replaceRange(chunks, first, { chunk, index }, pieces);
    },
    *entries() {
      for (const chunk of chunks) yield* chunk;
    },
    count: () => count,
    dataBytes: () => dataBytes,
  };
}

interface Place {
  readonly chunk: number;
  readonly index: number;
}

function endOf<Source>(run: Run<Source>): number {
  return run.offsetBytes + run.lengthBytes;
}

/** The part of a run between two disk offsets inside it. */
export function part<Source>(run: Run<Source>, fromBytes: number, toBytes: number): Run<Source> {
  const place = { offsetBytes: fromBytes, lengthBytes: toBytes - fromBytes };
  return run.kind === "zero"
    ? { kind: "zero", ...place }
    : { ...run, ...place, sourceOffsetBytes: run.sourceOffsetBytes + fromBytes - run.offsetBytes };
}

/** Adds a run that begins where the last one ends, or joins the two. */
function pushJoined<Source>(pieces: Run<Source>[], run: Run<Source>): void {
  const last = pieces.at(-1);
  if (last === undefined || !continues(last, run)) {
    pieces.push(run);
    return;
  }
  pieces[pieces.length - 1] = { ...last, lengthBytes: last.lengthBytes + run.lengthBytes };
}

function continues<Source>(left: Run<Source>, right: Run<Source>): boolean {
  if (left.kind === "zero" || right.kind === "zero") return left.kind === right.kind;
  return left.source === right.source && left.sourceOffsetBytes + left.lengthBytes === right.sourceOffsetBytes;
}

/**
 * The position of the first run that ends at or after `offsetBytes`; after the last run if there is none. Two binary
 * searches without closures: it runs for every write of the guest.
 */
function firstEndingAtOrBehind<Source>(chunks: readonly (readonly Run<Source>[])[], offsetBytes: number): Place {
  let chunk = 0;
  for (let high = chunks.length - 1; chunk < high;) {
    const middle = (chunk + high) >>> 1;
    const runs = chunks[middle];
    const last = runs?.[runs.length - 1];
    if (last !== undefined && endOf(last) < offsetBytes) chunk = middle + 1;
    else high = middle;
  }
  const runs = chunks[chunk] ?? [];
  let index = 0;
  for (let high = runs.length; index < high;) {
    const middle = (index + high) >>> 1;
    const run = runs[middle];
    if (run !== undefined && endOf(run) < offsetBytes) index = middle + 1;
    else high = middle;
  }
  return { chunk, index };
}

/** Puts `pieces` in the place of the runs between two places and keeps chunks neither empty nor too long. */
function replaceRange<Source>(chunks: Run<Source>[][], from: Place, to: Place, pieces: readonly Run<Source>[]): void {
  const head = chunks[from.chunk];
  if (head === undefined) {
    chunks.push([...pieces]);
    return;
  }
  if (from.chunk === to.chunk) {
    head.splice(from.index, to.index - from.index, ...pieces);
  } else {
    const rest = chunks[to.chunk]?.slice(to.index) ?? [];
    head.splice(from.index, head.length - from.index, ...pieces, ...rest);
    chunks.splice(from.chunk + 1, to.chunk - from.chunk);
  }
  if (head.length <= CHUNK_MAX_RUNS) return;
  chunks.splice(from.chunk + 1, 0, head.splice(head.length >>> 1));
}
