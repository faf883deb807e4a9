import type { Azurite, BlobPages, ByteRange, PageBlobHandler, PageRange, RequestContext } from "../azurite-modules.ts";
import { replaceMethod, type Undo } from "./patch.ts";

/**
 * Get Page Ranges with `prevsnapshot` answers the difference. Azurite ignores the parameter and lists every written
 * range as changed, and none as cleared. Refusals are Azure's: 409 PreviousSnapshotNotFound, 400
 * PreviousSnapshotCannotBeNewer, 409 BlobOverwritten (the blob was recreated since), 501 for a previous snapshot given
 * by address, which only managed disks support.
 */
export function mendPageRangesDiff(azurite: Azurite): Undo {
  return replaceMethod(
    azurite.pageBlobHandler,
    "getPageRanges",
    (original) =>
      async function (this: PageBlobHandler, options, context) {
        const refuse = (status: number, code: string, message: string): Error =>
          new azurite.storageError(status, code, message, context.contextId);
        const answer = await original.call(this, options, context);
        if (context.request.getHeader("x-ms-previous-snapshot-url") !== undefined) {
          throw refuse(501, "NotImplemented", "A previous snapshot by address exists for managed disks only.");
        }
        const previous = context.request.getQuery("prevsnapshot");
        if (previous === undefined) return answer;
        if (options.snapshot !== undefined && options.snapshot < previous) {
          throw refuse(
            400,
            "PreviousSnapshotCannotBeNewer",
            "The previous snapshot is newer than the snapshot it is compared with.",
          );
        }
        const older = await read(this, context, previous).catch(() => {
          throw refuse(409, "PreviousSnapshotNotFound", "The previous snapshot is not found.");
        });
        const newer = await read(this, context, options.snapshot);
        if (madeMs(older) !== madeMs(newer)) {
          throw refuse(409, "BlobOverwritten", "The blob has been recreated since the previous snapshot was taken.");
        }
        const asked = askedRange(context, newer.properties.contentLength ?? 0);
        return { ...answer, ...diffPageRanges(older.pageRangesInOrder ?? [], newer.pageRangesInOrder ?? [], asked) };
      },
  );
}

export interface PageRangesDiff {
  /** Written since: the content may differ. */
  readonly pageRange: readonly ByteRange[];
  /** Cleared since: zero now. */
  readonly clearRange: readonly ByteRange[];
}

/**
 * Sweeps over both ordered lists, inside `asked`, in O(n + m). A page is unchanged when both sides have it in the same
 * extent at the same place: Azurite never writes a place of an extent twice. Merges adjacent ranges of one kind.
 */
export function diffPageRanges(
  older: readonly PageRange[],
  newer: readonly PageRange[],
  asked: ByteRange,
): PageRangesDiff {
  const pageRange: ByteRange[] = [];
  const clearRange: ByteRange[] = [];
  let olderAt = 0;
  let newerAt = 0;
  for (let start = asked.start; start <= asked.end;) {
    olderAt = skipBefore(older, olderAt, start);
    newerAt = skipBefore(newer, newerAt, start);
    const before = older[olderAt];
    const after = newer[newerAt];
    const end = Math.min(asked.end, pieceEnd(before, start), pieceEnd(after, start));
    const wasThere = before !== undefined && before.start <= start;
    const isThere = after !== undefined && after.start <= start;
    if (isThere && !(wasThere && samePlace(before, after))) append(pageRange, start, end);
    else if (wasThere && !isThere) append(clearRange, start, end);
    start = end + 1;
  }
  return { pageRange, clearRange };
}

function skipBefore(ranges: readonly PageRange[], at: number, start: number): number {
  let next = at;
  for (let range = ranges[next]; range !== undefined && range.end < start; range = ranges[next]) next++;
  return next;
}

/** The last byte up to which nothing changes on this side. */
function pieceEnd(range: PageRange | undefined, start: number): number {
  if (range === undefined) return Infinity;
  return range.start <= start ? range.end : range.start - 1;
}

function samePlace(one: PageRange, other: PageRange): boolean {
  return (
    one.persistency.id === other.persistency.id &&
    one.persistency.offset - one.start === other.persistency.offset - other.start
  );
}

function append(ranges: ByteRange[], start: number, end: number): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.end === start - 1) ranges[ranges.length - 1] = { start: last.start, end };
  else ranges.push({ start, end });
}

function read(handler: PageBlobHandler, context: RequestContext, snapshot: string | undefined): Promise<BlobPages> {
  const { account, container, blob } = context.context;
  return handler.metadataStore.getPageRanges(context, account, container, blob, snapshot);
}

/** Azurite's times are strings after a restart. */
function madeMs(pages: BlobPages): number {
  return new Date(pages.properties.creationTime ?? 0).getTime();
}

/** The original has already refused invalid ranges and starts past the end. */
function askedRange(context: RequestContext, lengthBytes: number): ByteRange {
  const text = context.request.getHeader("x-ms-range") ?? context.request.getHeader("range") ?? "";
  const match = /^bytes=(\d+)-(\d*)$/.exec(text);
  const last = lengthBytes - 1;
  if (match === null) return { start: 0, end: last };
  return { start: Number(match[1]), end: match[2] === "" ? last : Math.min(Number(match[2]), last) };
}
