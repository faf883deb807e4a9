import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import type { Image } from "../disks/image.ts";
import { seedAfter, type SeedProgress } from "../journal/seed-progress.ts";
import { readSegment, segmentName, segmentNumber, type IntactRecord, type SegmentContent } from "../journal/segment.ts";
import { JOURNAL_RECORD_MAX_BYTES } from "../limits.ts";
import type { Files } from "../system/files.ts";

export interface RecoverOptions {
  readonly files: Files;
  readonly folder: string;
  readonly binding: string;
  readonly sealedSegment: number;
  readonly sealedSequence: number;
  /** The images hold segments up to this one, and more: a removed one that came back is not redone. */
  readonly imagesSegment?: number | undefined;
  /** Earlier records are not redone: the images had them when the log ended, and have changed since. */
  readonly redoFromSequence: number;
  /** In the order that records number them. */
  readonly images: readonly Image[];
  /** As of the last sealed epoch. */
  readonly seed: SeedProgress;
}

interface RecoveredSegment {
  readonly number: number;
  readonly lengthBytes: number;
  readonly lastSequence: number;
}

export interface RecoveredJournal {
  /** Segments with records that no sealed delta holds, oldest first: each becomes an epoch. */
  readonly unsealed: readonly RecoveredSegment[];
  /** Segments whose delta is sealed: removed as soon as the images are on the medium. */
  readonly sealed: readonly number[];
  readonly nextNumber: number;
  readonly nextSequence: number;
  readonly lastWriteMs: number;
  /** As of the last record. */
  readonly seed: SeedProgress;
  /**
   * Records are missing in the middle, which no kill of the process can cause: the log is incomplete, and everything
   * has to be read again before the next recovery point.
   */
  readonly damaged: boolean;
  readonly redoneRecords: number;
}

/**
 * Redoes the journal onto the images, in order. Cuts a torn tail of the last segment: its record never touched the
 * image and was never acknowledged. Redoes every intact record even after damage, because the images had them all.
 * Running it again changes nothing more.
 */
export function recoverJournal(options: RecoverOptions): RecoveredJournal {
  const { files } = options;
  const numbers = files
    .list(options.folder)
    .flatMap((name) => segmentNumber(name) ?? [])
    .toSorted((left, right) => left - right);
  const unsealed: RecoveredSegment[] = [];
  const sealed: number[] = [];
  let nextSequence = options.sealedSequence + 1;
  let lastWriteMs = 0;
  let damaged = false;
  let redoneRecords = 0;
  let { seed } = options;

  for (const number of numbers) {
    const path = join(options.folder, segmentName(number));
    if (number <= (options.imagesSegment ?? 0)) {
      files.remove(path);
      continue;
    }
    const isLast = number === numbers.at(-1);
    const content = segmentOf(files, path, number);
    if (content.header !== undefined && content.header.binding !== options.binding) {
      throw new LeewardError(
        "state-corrupt",
        `The journal segment ${path} belongs to another item, stream or set of disks.`,
        { path },
      );
    }
    if (content.torn && !isLast) damaged = true;
    if (content.torn && isLast) cutFile(files, path, content.intactBytes);
    const missed = content.records.filter(({ header }) => header.sequence >= options.redoFromSequence);
    for (const record of missed) redo(record, options.images, path);
    redoneRecords += missed.length;

    const last = content.records.at(-1)?.header;
    if (number <= options.sealedSegment) sealed.push(number);
    else if (last === undefined) files.remove(path);
    else {
      // A failed journal may have lost its last records. The log then ended, the map took over what they held, and the
      // next log begins here.
      const first = content.header?.firstSequence;
      if (first !== nextSequence && first !== options.redoFromSequence) damaged = true;
      nextSequence = Math.max(nextSequence, last.sequence + 1);
      seed = seedAfter(seed, content.records);
      unsealed.push({ number, lengthBytes: content.intactBytes, lastSequence: last.sequence });
      syncPath(files, path);
    }
    lastWriteMs = Math.max(lastWriteMs, last?.timeMs ?? 0);
  }
  // The process that wrote the segments may not have synced them, and nothing else would.
  if (unsealed.length > 0) syncPath(files, options.folder);
  nextSequence = Math.max(nextSequence, options.redoFromSequence);
  const nextNumber = Math.max(options.sealedSegment, numbers.at(-1) ?? 0) + 1;
  return { unsealed, sealed, nextNumber, nextSequence, lastWriteMs, seed, damaged, redoneRecords };
}

/**
 * A power failure may leave earlier content of the medium: a segment with another number is an older one, and nothing
 * of this one was ever acknowledged.
 */
function segmentOf(files: Files, path: string, number: number): SegmentContent {
  const content = readSegment(files, path);
  const isOther = content.header !== undefined && content.header.number !== number;
  return isOther ? { header: undefined, records: [], intactBytes: 0, torn: true } : content;
}

function cutFile(files: Files, path: string, lengthBytes: number): void {
  const file = files.open(path, "r+");
  try {
    files.truncate(file, lengthBytes);
  } finally {
    files.close(file);
  }
}

function syncPath(files: Files, path: string): void {
  const file = files.open(path, "r");
  try {
    files.sync(file);
  } finally {
    files.close(file);
  }
}

/** Seeds are skipped: they are what the image already held. */
function redo({ header, data }: IntactRecord, images: readonly Image[], path: string): void {
  if (header.kind !== "write" && header.kind !== "zero") return;
  const image = images[header.disk];
  if (image === undefined || header.offsetBytes + header.lengthBytes > image.sizeBytes) {
    throw new LeewardError("state-corrupt", `A record in ${path} lies outside its disk.`, {
      path,
      sequence: header.sequence,
    });
  }
  if (header.kind === "write") image.write(data, header.offsetBytes);
  else writeZeros(image, header.offsetBytes, header.lengthBytes);
}

const ZEROS = Buffer.alloc(JOURNAL_RECORD_MAX_BYTES);

/**
 * Ranges that are zero already are not written: holes of a sparse image stay holes, since Node cannot punch new ones.
 */
export function writeZeros(image: Image, offsetBytes: number, lengthBytes: number): void {
  for (let done = 0; done < lengthBytes;) {
    const step = Math.min(ZEROS.length, lengthBytes - done);
    const current = Buffer.allocUnsafe(step);
    image.read(current, offsetBytes + done);
    const zeros = ZEROS.subarray(0, step);
    if (!current.equals(zeros)) image.write(zeros, offsetBytes + done);
    done += step;
  }
}
