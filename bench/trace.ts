import { createRandom } from "../test/memory/random.ts";

/**
 * The committed synthetic trace: the writes of a busy database on two disks. It is generated, so it costs no space and
 * has no licence, and it is the same on every machine: everything follows from the seed. The mix follows block traces
 * of database servers: a write-ahead log that appends 4-32 KiB and rewrites its last block, a checkpointer that writes
 * short runs of 8 KiB pages at skewed places, a compaction that streams 64 KiB blocks, and a few metadata blocks that
 * are rewritten again and again.
 */
export interface TraceWrite {
  readonly atMs: number;
  /** Index of the disk: 0 holds data, 1 holds the log. */
  readonly disk: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Names the content; the same number gives the same bytes. */
  readonly content: number;
}

export interface TraceOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly writesPerSecond: number;
  readonly diskBytes: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const PAGE_BYTES = 8 * KIB;
const BLOCK_BYTES = 4 * KIB;
const LOG_REGION_BYTES = 96 * MIB;
const STREAM_REGION_BYTES = 64 * MIB;
const METADATA_BLOCKS = 16;

export function databaseTrace(options: TraceOptions): readonly TraceWrite[] {
  const random = createRandom(options.seed).next;
  const writes: TraceWrite[] = [];
  const count = Math.floor((options.durationMs / 1000) * options.writesPerSecond);
  let logBytes = 0;
  let streamBytes = 0;
  while (writes.length < count) {
    const atMs = Math.floor((writes.length / count) * options.durationMs);
    const choice = random();
    if (choice < 0.3) {
      const lengthBytes = BLOCK_BYTES * (1 + Math.floor(random() ** 2 * 8));
      writes.push(write(atMs, 1, logBytes % LOG_REGION_BYTES, lengthBytes));
      // The next record begins in the block this one left partly empty.
      logBytes += lengthBytes - (random() < 0.5 ? BLOCK_BYTES : 0);
    } else if (choice < 0.55) {
      const place = skewedPage(random, options.diskBytes - STREAM_REGION_BYTES);
      const run = 1 + Math.floor(-Math.log(1 - random()) * 1.5);
      for (let page = 0; page < run; page += 1) writes.push(write(atMs, 0, place + page * PAGE_BYTES, PAGE_BYTES));
    } else if (choice < 0.9) {
      writes.push(
        write(atMs, 0, options.diskBytes - STREAM_REGION_BYTES + (streamBytes % STREAM_REGION_BYTES), 64 * KIB),
      );
      streamBytes += 64 * KIB;
    } else {
      writes.push(write(atMs, 0, Math.floor(random() * METADATA_BLOCKS) * 32 * MIB, BLOCK_BYTES));
    }
  }
  return writes.slice(0, count);

  function write(atMs: number, disk: number, offsetBytes: number, lengthBytes: number): TraceWrite {
    return { atMs, disk, offsetBytes, lengthBytes, content: Math.floor(random() * 2 ** 31) };
  }
}

/** A page place with the skew of a database: most checkpoints touch a small hot part. */
function skewedPage(random: () => number, regionBytes: number): number {
  const pages = Math.floor(regionBytes / PAGE_BYTES) - 64;
  return Math.floor(random() ** 4 * pages) * PAGE_BYTES;
}

const WORDS = [
  "select",
  "insert",
  "customer",
  "order",
  "status",
  "shipped",
  "pending",
  "amount",
  "2026-11-",
  "region",
  "west",
  "north",
  "invoice",
  "total",
  "null",
  "true",
  "address",
  "street",
  "item",
  "quantity",
];

/** Text-like bytes: rows of words and numbers with some random identifiers, like logs and database pages. */
export function textContent(seed: number, lengthBytes: number): Uint8Array {
  const random = createRandom(seed).next;
  const parts: string[] = [];
  for (let size = 0; size < lengthBytes;) {
    const word = WORDS[Math.floor(random() ** 2 * WORDS.length)] ?? "row";
    const part = random() < 0.25 ? `${word}=${Math.floor(random() * 1e9).toString(36)};` : `${word} `;
    parts.push(part);
    size += part.length;
  }
  return new TextEncoder().encode(parts.join("")).subarray(0, lengthBytes);
}
