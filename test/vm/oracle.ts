import { createHash } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { readExt4 } from "../../local/lab/ext4.ts";
import { seededRandom } from "../../local/lab/random.ts";

const POOL_BYTES = 1024 * 1024;
/** Slices begin below this prime, so that no two of neighbouring numbers begin alike. */
const SLICES_BEGIN_BELOW = 900_001;
export const RECORD_BYTES = 4096;
const PART = /^part-(\d+)-(\d+)$/;

/** The bytes of which the guest makes its files and records. */
export function makePool(seed: number): Buffer {
  const pool = Buffer.alloc(POOL_BYTES);
  seededRandom(seed, 0x706f6f6c).fill(pool);
  return pool;
}

/** File `number` as `guest/init.sh` writes it. */
export function fileContent(pool: Buffer, number: number): Buffer {
  return Buffer.concat([
    Buffer.from(`file ${number}\n`),
    slice(pool, (number * 104_729) % SLICES_BEGIN_BELOW, (number * 7919) % 24_576),
  ]);
}

const recordContent = (pool: Buffer, number: number): Buffer =>
  slice(pool, (number * 613) % SLICES_BEGIN_BELOW, RECORD_BYTES);

const slice = (pool: Buffer, offsetBytes: number, lengthBytes: number): Buffer =>
  pool.subarray(offsetBytes, offsetBytes + lengthBytes);

/** The guest's disks: the one with the file system, and the one for records. */
export interface Disks {
  readonly data: Buffer;
  readonly records: Buffer;
}

/** What one moment of both disks may show: records 1..`records`, files 1..`files`, and nothing else. */
export type Finding =
  | { readonly kind: "prefix"; readonly files: number; readonly records: number }
  | { readonly kind: "refuted"; readonly reason: string };

export interface Known {
  readonly pool: Buffer;
  /** Hashes that the guest itself printed, by file number. */
  readonly hashes: ReadonlyMap<number, string>;
  /** The guest may leave one unfinished file for each. */
  readonly boots: number;
}

/**
 * Whether these disks are those of the guest at one moment. The guest makes each step durable before it begins the next
 * one, record 1, file 1, record 2, file 2 ..., so every moment shows a first part of these steps, and over both disks
 * the same one. `workPath` names a file to work with.
 */
export async function judge(disks: Disks, known: Known, workPath: string): Promise<Finding> {
  await writeFile(workPath, disks.data);
  const disk = await readExt4(workPath);
  await rm(workPath);
  if (disk.kind === "damaged") return refuted(`the file system is damaged: ${disk.wrong}`);
  const numbers = [...disk.files.keys()].filter((name) => !PART.test(name)).map(Number);
  const files = numbers.length;
  const wrongFile = wrongFileOf(disk.files, files, known);
  if (wrongFile !== undefined) return refuted(wrongFile);
  const parts = [...disk.files.keys()].filter((name) => PART.test(name));
  if (parts.length > known.boots) return refuted(`${parts.length} unfinished files after ${known.boots} boots`);
  const records = countRecords(disks.records, known.pool);
  if (typeof records === "string") return refuted(records);
  if (records !== files && records !== files + 1) return refuted(`${files} files stand beside ${records} records`);
  const future = parts.find((name) => Number(PART.exec(name)?.[2]) > records);
  if (future !== undefined) return refuted(`${future} was begun, but only ${records} records are there`);
  return { kind: "prefix", files, records };
}

function wrongFileOf(found: ReadonlyMap<string, Buffer>, files: number, { pool, hashes }: Known): string | undefined {
  for (let number = 1; number <= files; number += 1) {
    const content = found.get(String(number));
    if (content === undefined) return `of ${files} files number ${number} is missing`;
    if (!content.equals(fileContent(pool, number))) return `file ${number} is not what the guest wrote`;
    const hash = hashes.get(number);
    if (hash !== undefined && hash !== createHash("sha256").update(content).digest("hex")) {
      return `file ${number} is not what the guest read back`;
    }
  }
  return undefined;
}

/** The records from the first on, without a gap, and nothing behind them; else what is wrong. */
function countRecords(disk: Buffer, pool: Buffer): number | string {
  const at = (number: number): Buffer => disk.subarray(number * RECORD_BYTES, (number + 1) * RECORD_BYTES);
  let records = 0;
  while (at(records + 1).equals(recordContent(pool, records + 1))) records += 1;
  const rest = [at(0), disk.subarray((records + 1) * RECORD_BYTES)];
  return rest.some((bytes) => bytes.some((byte) => byte !== 0))
    ? `behind record ${records} stands something else`
    : records;
}

const refuted = (reason: string): Finding => ({ kind: "refuted", reason });
