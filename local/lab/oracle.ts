import { open, type FileHandle } from "node:fs/promises";
import { readFixedVhd } from "@leeward/azure-local/resource-manager/vhd";
import { DIGEST_BYTES, LOG_SECTOR_BYTES, sectorDigest, type LogRecord } from "./write-log.ts";

/** One disk of the VM: the image before record 1, and the restored disk to be proven. */
export interface OracleDisk {
  readonly id: string;
  readonly sizeBytes: number;
  readonly baselinePath: string;
  readonly restoredPath: string;
  /** A fixed VHD, or the bytes of the disk and no more. */
  readonly format: "vhd" | "raw";
}

/**
 * The content of a sector: that of a record, that from before the first record, or bytes that were never written there.
 */
export type Finding =
  | { readonly kind: "record"; readonly number: number }
  | { readonly kind: "baseline" }
  | { readonly kind: "zeroes" }
  | { readonly kind: "unknown" };

export type Verdict =
  /**
   * All disks together equal the baseline and the first N records, for exactly these N (several when records change
   * nothing).
   */
  | { readonly kind: "prefix"; readonly records: readonly number[] }
  | { readonly kind: "not-a-disk"; readonly disk: string; readonly wrong: string }
  /** No prefix fits. The first difference from the best fit, and the number of sectors that differ from it. */
  | {
      readonly kind: "mismatch";
      readonly bestPrefix: number;
      readonly disk: string;
      readonly offsetBytes: number;
      readonly expected: Finding;
      readonly found: Finding;
      readonly differingSectors: number;
    };

const CHUNK_BYTES = 1024 * 1024;
const ZERO_CHUNK = Buffer.alloc(CHUNK_BYTES);
const ZERO_DIGEST = sectorDigest(ZERO_CHUNK.subarray(0, LOG_SECTOR_BYTES));

/**
 * Proves that restored disks are one prefix of the write log, all disks at once. For every sector the log gives the
 * list of its contents over time; the content found fits some stretches of that list, and a prefix N is the answer when
 * it lies in a fitting stretch of every sector. So all N are tried in one pass over the bytes: fits(N) is counted by
 * differences, and N is proven when every sector fits.
 */
export async function provePrefix(disks: readonly OracleDisk[], records: readonly LogRecord[]): Promise<Verdict> {
  const versions = disks.map((_, disk) => versionsBySector(records, disk));
  // steps[n] is how many more sectors fit prefix n than prefix n - 1.
  const steps = new Int32Array(records.length + 2);
  let sectors = 0;
  for (const [index, disk] of disks.entries()) {
    const wrong = await walk(disk, (offsetBytes, restored, baseline) => {
      sectors += restored.length / LOG_SECTOR_BYTES;
      const histories = versions[index]?.get(offsetBytes / CHUNK_BYTES);
      if (histories === undefined && restored.equals(baseline))
        addStretch(steps, 0, records.length + 1, restored.length / LOG_SECTOR_BYTES);
      else
        eachSector(offsetBytes, restored, baseline, (at, now, then) =>
          countFits(histories?.get(at) ?? [], records, at, now, then, steps),
        );
    });
    if (wrong !== undefined) return { kind: "not-a-disk", disk: disk.id, wrong };
  }
  const proven: number[] = [];
  let fits = 0;
  let best = { prefix: 0, fits: -1 };
  for (let prefix = 0; prefix <= records.length; prefix++) {
    fits += steps[prefix] ?? 0;
    if (fits === sectors) proven.push(prefix);
    if (fits > best.fits) best = { prefix, fits };
  }
  if (proven.length > 0) return { kind: "prefix", records: proven };
  return explain(disks, records, versions, best.prefix, sectors - best.fits);
}

/** By chunk of the disk, then by offset: the records that wrote or zeroed each sector. */
type Versions = ReadonlyMap<number, ReadonlyMap<number, readonly LogRecord[]>>;

/** The records that wrote or zeroed each sector, in order. A trim changes nothing: Leeward guarantees that itself. */
function versionsBySector(records: readonly LogRecord[], disk: number): Versions {
  const versions = new Map<number, Map<number, LogRecord[]>>();
  for (const record of records) {
    if (record.disk !== disk || record.kind === "trim") continue;
    for (let at = record.offsetBytes; at < record.offsetBytes + record.lengthBytes; at += LOG_SECTOR_BYTES) {
      const chunk = Math.floor(at / CHUNK_BYTES);
      const histories = versions.get(chunk) ?? new Map<number, LogRecord[]>();
      versions.set(chunk, histories);
      const history = histories.get(at);
      if (history === undefined) histories.set(at, [record]);
      else history.push(record);
    }
  }
  return versions;
}

function eachSector(
  offsetBytes: number,
  restored: Buffer,
  baseline: Buffer,
  visit: (offsetBytes: number, restored: Buffer, baseline: Buffer) => void,
): void {
  for (let at = 0; at < restored.length; at += LOG_SECTOR_BYTES) {
    visit(offsetBytes + at, restored.subarray(at, at + LOG_SECTOR_BYTES), baseline.subarray(at, at + LOG_SECTOR_BYTES));
  }
}

/** One more sector, or `sectors` of them, fit every prefix of at least `from` and below `to` records. */
function addStretch(steps: Int32Array, from: number, to: number, sectors = 1): void {
  steps[from] = (steps[from] ?? 0) + sectors;
  steps[to] = (steps[to] ?? 0) - sectors;
}

function countFits(
  history: readonly LogRecord[],
  records: readonly LogRecord[],
  offsetBytes: number,
  restored: Buffer,
  baseline: Buffer,
  steps: Int32Array,
): void {
  const end = records.length + 1;
  if (restored.equals(baseline)) addStretch(steps, 0, history[0]?.number ?? end);
  if (history.length === 0) return;
  const digest = digestOf(restored);
  for (const [at, record] of history.entries()) {
    if (digestAt(record, offsetBytes).equals(digest)) addStretch(steps, record.number, history[at + 1]?.number ?? end);
  }
}

/** Finds the first sector that differs from the best-fitting prefix, and identifies its content. */
async function explain(
  disks: readonly OracleDisk[],
  records: readonly LogRecord[],
  versions: readonly Versions[],
  bestPrefix: number,
  differingSectors: number,
): Promise<Verdict> {
  for (const [index, disk] of disks.entries()) {
    let first: { readonly offsetBytes: number; readonly expected: Finding; readonly found: Finding } | undefined;
    await walk(disk, (chunkOffsetBytes, chunk, chunkBefore) =>
      eachSector(chunkOffsetBytes, chunk, chunkBefore, (offsetBytes, restored, baseline) => {
        if (first !== undefined) return;
        const history = versions[index]?.get(Math.floor(offsetBytes / CHUNK_BYTES))?.get(offsetBytes) ?? [];
        const wanted = history.findLast((record) => record.number <= bestPrefix);
        const fits =
          wanted === undefined ? restored.equals(baseline) : digestAt(wanted, offsetBytes).equals(digestOf(restored));
        if (fits) return;
        const expected: Finding =
          wanted === undefined ? { kind: "baseline" } : { kind: "record", number: wanted.number };
        first = { offsetBytes, expected, found: identify(records, history, offsetBytes, restored, baseline) };
      }),
    );
    if (first !== undefined) return { kind: "mismatch", bestPrefix, disk: disk.id, differingSectors, ...first };
  }
  return { kind: "not-a-disk", disk: disks[0]?.id ?? "", wrong: "the files changed while they were being read" };
}

/**
 * Identifies the record of these bytes: first among the records of this place, then among all, for misplaced content.
 */
function identify(
  records: readonly LogRecord[],
  history: readonly LogRecord[],
  offsetBytes: number,
  restored: Buffer,
  baseline: Buffer,
): Finding {
  const digest = digestOf(restored);
  const here = history.findLast((record) => digestAt(record, offsetBytes).equals(digest));
  if (here !== undefined) return { kind: "record", number: here.number };
  if (restored.equals(baseline)) return { kind: "baseline" };
  if (digest.equals(ZERO_DIGEST)) return { kind: "zeroes" };
  const elsewhere = records.find((record) => {
    for (let at = 0; at < record.digests.length; at += DIGEST_BYTES) {
      if (digest.equals(record.digests.subarray(at, at + DIGEST_BYTES))) return true;
    }
    return false;
  });
  return elsewhere === undefined ? { kind: "unknown" } : { kind: "record", number: elsewhere.number };
}

function digestAt(record: LogRecord, offsetBytes: number): Buffer {
  if (record.kind !== "write") return Buffer.from(ZERO_DIGEST);
  const at = ((offsetBytes - record.offsetBytes) / LOG_SECTOR_BYTES) * DIGEST_BYTES;
  return Buffer.from(record.digests.buffer, record.digests.byteOffset + at, DIGEST_BYTES);
}

function digestOf(sector: Buffer): Buffer {
  return Buffer.from(sectorDigest(sector));
}

/**
 * Visits every chunk of the disk with its restored and its first content. Returns the fault when the file is not a disk
 * of this size.
 */
async function walk(
  disk: OracleDisk,
  visit: (offsetBytes: number, restored: Buffer, baseline: Buffer) => void,
): Promise<string | undefined> {
  const restored = await open(disk.restoredPath, "r");
  const baseline = await open(disk.baselinePath, "r");
  try {
    const roundedBytes = disk.format === "raw" ? disk.sizeBytes : Math.ceil(disk.sizeBytes / CHUNK_BYTES) * CHUNK_BYTES;
    const wrong =
      disk.format === "raw"
        ? await wrongSize(restored, disk.sizeBytes)
        : await wrongVhd(restored, disk.sizeBytes, roundedBytes);
    if (wrong !== undefined) return wrong;
    const [after, before] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
    for (let at = 0; at < disk.sizeBytes; at += CHUNK_BYTES) {
      const lengthBytes = Math.min(CHUNK_BYTES, disk.sizeBytes - at);
      visit(at, await readInto(after, restored, at, lengthBytes), await readInto(before, baseline, at, lengthBytes));
    }
    const padding = await readAt(restored, disk.sizeBytes, roundedBytes - disk.sizeBytes);
    return padding.equals(ZERO_CHUNK.subarray(0, padding.length))
      ? undefined
      : "the bytes between the disk's end and the footer are not zero";
  } finally {
    await Promise.all([restored.close(), baseline.close()]);
  }
}

async function wrongSize(file: FileHandle, sizeBytes: number): Promise<string | undefined> {
  const fileBytes = (await file.stat()).size;
  return fileBytes === sizeBytes ? undefined : `the disk has ${sizeBytes} bytes, the file ${fileBytes}`;
}

async function wrongVhd(file: FileHandle, sizeBytes: number, roundedBytes: number): Promise<string | undefined> {
  const fileBytes = (await file.stat()).size;
  const footer = await readAt(file, Math.max(0, fileBytes - 512), 512);
  const vhd = readFixedVhd(footer, fileBytes);
  if ("wrong" in vhd) return vhd.wrong;
  if (vhd.sizeBytes === roundedBytes) return undefined;
  return `the disk has ${sizeBytes} bytes, the VHD ${vhd.sizeBytes} instead of ${roundedBytes}`;
}

function readAt(file: FileHandle, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  return readInto(Buffer.alloc(lengthBytes), file, offsetBytes, lengthBytes);
}

async function readInto(bytes: Buffer, file: FileHandle, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const { bytesRead } = await file.read(bytes, 0, lengthBytes, offsetBytes);
  return bytes.subarray(0, bytesRead);
}
