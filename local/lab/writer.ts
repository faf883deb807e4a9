import { createHash } from "node:crypto";
import { createGate } from "./gate.ts";
import type { Guest, GuestRequest } from "./guest.ts";
import { seededRandom, type Random } from "./random.ts";

const KIB = 1024;
const SECTOR_BYTES = 512;
const RECORD_MAX_BYTES = 64 * KIB;
/** Most of a database's writes repeatedly hit a small part of its disk; the rest goes anywhere. */
const HOT_SHARE = 0.8;
const HOT_BYTES = 8 * 1024 * KIB;
const RECORD_MAGIC = "LWRECORD";
const RECORD_HEADER_BYTES = 96;

export interface WriterOptions {
  readonly guest: Guest;
  /** Sizes of the disks that the writer may write, by their index in the guest. */
  readonly disks: readonly { readonly disk: number; readonly sizeBytes: number }[];
  readonly seed: number;
  readonly recordsPerSecond: number;
}

/** A guest's program that writes numbered, hashed, flushed records over its disks until it is stopped. */
export interface Writer {
  /** Resolves once the record under way is acknowledged; none follows until `resume`. */
  pause(): Promise<void>;
  resume(): void;
  /** Resolves when the last record is acknowledged; rejects with the error that ended the writer before. */
  stop(): Promise<void>;
  /** Rejects when the writer fails; never resolves before `stop`. */
  readonly done: Promise<void>;
}

/** Starts writing at an even pace; a slow disk makes it fall behind, never run ahead. */
export function startWriter(options: WriterOptions): Writer {
  const source = recordSource(options.disks, options.seed);
  const stopping = new AbortController();
  const gate = createGate();
  const run = async (): Promise<void> => {
    const pauseMs = 1000 / options.recordsPerSecond;
    let dueMs = performance.now();
    for (;;) {
      await gate.pass();
      if (stopping.signal.aborted) break;
      await options.guest.submit(source.next());
      dueMs = Math.max(dueMs + pauseMs, performance.now() - 1000);
      const waitMs = dueMs - performance.now();
      // A timer is no finer than a millisecond or two: short waits are added up.
      if (waitMs > 2) await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    await options.guest.flush();
  };
  const done = run();
  done.catch(() => undefined);
  return {
    done,
    pause: () => {
      gate.close();
      return options.guest.idle();
    },
    resume: () => gate.open(),
    stop: () => {
      stopping.abort();
      gate.open();
      return done;
    },
  };
}

/**
 * The records of a seed, in order: always the same for the same disks. Nine of ten are writes of 512 bytes to 64 KiB,
 * the rest zeroes and trims.
 */
export function recordSource(
  disks: readonly { readonly disk: number; readonly sizeBytes: number }[],
  seed: number,
): { next(): GuestRequest } {
  const random = seededRandom(seed, 0x77726974);
  let number = 0;
  let previous = Buffer.alloc(32);
  return {
    next: () => {
      number += 1;
      const { disk, sizeBytes } = disks[random.below(disks.length)] ?? { disk: 0, sizeBytes: RECORD_MAX_BYTES };
      const lengthBytes = Math.min(recordLength(random), sizeBytes);
      const offsetBytes = recordOffset(random, sizeBytes, lengthBytes);
      const choice = random.next();
      if (choice < 0.06) return { kind: "zero", disk, offsetBytes, lengthBytes };
      if (choice < 0.09) return { kind: "trim", disk, offsetBytes, lengthBytes };
      const record = recordBytes({ seed, number, disk, offsetBytes, lengthBytes, previous });
      previous = record.digest;
      const durable = choice < 0.2 ? "fua" : choice < 0.5 ? "flush" : "no";
      return { kind: "write", disk, offsetBytes, bytes: record.bytes, durable };
    },
  };
}

/**
 * Mostly whole 4 KiB blocks up to 64 KiB, small ones more often; some odd sectors, as boot loaders and logs write them.
 */
function recordLength(random: Random): number {
  if (random.next() < 0.1) return SECTOR_BYTES * (1 + random.below(15));
  return 4 * KIB * 2 ** random.below(5);
}

function recordOffset(random: Random, sizeBytes: number, lengthBytes: number): number {
  const spanBytes = random.next() < HOT_SHARE ? Math.min(HOT_BYTES, sizeBytes) : sizeBytes;
  const unitBytes = lengthBytes % (4 * KIB) === 0 ? 4 * KIB : SECTOR_BYTES;
  return random.below(Math.floor((spanBytes - lengthBytes) / unitBytes) + 1) * unitBytes;
}

interface RecordPlace {
  readonly seed: number;
  readonly number: number;
  readonly disk: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly previous: Buffer;
}

/**
 * Header (magic, number, length, disk, offset, SHA-256 of the body, digest of the previous record), then a body that
 * shares no sector with any other record.
 */
function recordBytes(place: RecordPlace): { readonly bytes: Buffer; readonly digest: Buffer<ArrayBuffer> } {
  const bytes = Buffer.alloc(place.lengthBytes);
  const body = bytes.subarray(RECORD_HEADER_BYTES);
  const random = seededRandom(place.seed, place.number, 0x626f6479);
  if (place.number % 4 === 0) random.fill(body);
  else fillWithText(body, place.number, random);
  bytes.write(RECORD_MAGIC, 0, "latin1");
  bytes.writeBigUInt64BE(BigInt(place.number), 8);
  bytes.writeUInt32BE(place.lengthBytes, 16);
  bytes.writeUInt32BE(place.disk, 20);
  bytes.writeBigUInt64BE(BigInt(place.offsetBytes), 24);
  createHash("sha256").update(body).digest().copy(bytes, 32);
  place.previous.copy(bytes, 64);
  return { bytes, digest: createHash("sha256").update(bytes.subarray(0, RECORD_HEADER_BYTES)).digest() };
}

const WORDS = [
  "order",
  "paid",
  "customer",
  "item",
  "north",
  "harbour",
  "pending",
  "shipped",
  "invoice",
  "wind",
  "credit",
  "note",
] as const;

/**
 * Lines of a ledger: about as compressible as rows of a database. Each line carries the record's number, so every
 * sector is unique.
 */
export function fillWithText(body: Buffer, number: number, random: Random): void {
  let at = 0;
  for (let line = 0; at < body.length; line++) {
    const text = `${number}.${line} ${WORDS[random.below(WORDS.length)]} ${WORDS[random.below(WORDS.length)]} ${random.below(1_000_000)};\n`;
    at += body.write(text, at, "latin1");
    if (text.length > body.length - at) {
      body.fill(0x2e, at);
      at = body.length;
    }
  }
}
