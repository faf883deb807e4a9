import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { LeewardError } from "../../replication/errors.ts";
import { DIRTY_GRAIN_BYTES, DIRTY_MAP_CACHE_PAGES, DIRTY_MAP_PAGE_BYTES } from "../limits.ts";
import { syncFolder, writeAll } from "../system/durable-file.ts";
import { isMissing, type Files } from "../system/files.ts";
import { changeBits, countBits, nextBit } from "./bits.ts";

/**
 * Which grains of the disks the target may lack: one bit for each DIRTY_GRAIN_BYTES in a file of fixed length, so a
 * full disk cannot stop a mark. A mark survives the death of the process when the call returns, and that of the machine
 * after `sync`. Memory holds a bounded number of pages and one count per page (16 bits for 128 MiB of disk).
 */
export interface DirtyMap {
  /** Grains times their size: the last grain of a disk counts as a whole one. */
  readonly dirtyBytes: number;
  /** Throws when the file cannot be written: then the image must not be touched. */
  mark(disk: number, offsetBytes: number, lengthBytes: number): void;
  markAll(): void;
  /** The first dirty range of the disk at or after the offset, at most this long. */
  next(disk: number, fromBytes: number, maxBytes: number): DirtyRange | undefined;
  /** The target and the image's medium have the data of the range. Grains only partly in it stay dirty. */
  clear(disk: number, fromBytes: number, toBytes: number): void;
  /** Every mark made before the call is on the medium. */
  sync(): Promise<void>;
  close(): void;
}

interface DirtyRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface OpenedDirtyMap {
  readonly map: DirtyMap;
  /** There was no map of these disks: a new one was made, and everything in it is dirty. */
  readonly isNew: boolean;
  /** Pages that failed their check: everything in them counts as dirty now. */
  readonly damagedPages: number;
}

export interface DirtyMapOptions {
  readonly files: Files;
  readonly path: string;
  /** 32 hex digits: ties the map to item, stream and disks. */
  readonly binding: string;
  /** By disk number. */
  readonly sizesBytes: readonly number[];
}

/**
 * docs/capture.md, "Dirty map and activity log". A page is its checksum (seeded with the page's number), four reserved
 * bytes, and bits.
 */
const PAGE_HEADER_BYTES = 8;
const PAGE_GRAINS = (DIRTY_MAP_PAGE_BYTES - PAGE_HEADER_BYTES) * 8;
const MAGIC = "LWDIRT01";

/** Opens the map, or makes one in which everything is dirty. Reads all of it once: 256 MiB for the largest disk. */
export function openDirtyMap(options: DirtyMapOptions): OpenedDirtyMap {
  const found = openExisting(options);
  if (found !== undefined) {
    const map = new PagedDirtyMap(options.files, found, options.sizesBytes);
    return { map, isNew: false, damagedPages: map.count() };
  }
  makeMap(options);
  const map = new PagedDirtyMap(options.files, options.files.open(options.path, "r+"), options.sizesBytes);
  map.count();
  return { map, isNew: true, damagedPages: 0 };
}

interface DiskPages {
  readonly firstPage: number;
  readonly grains: number;
  readonly pages: number;
}

function layout(sizesBytes: readonly number[]): readonly DiskPages[] {
  let firstPage = 1;
  return sizesBytes.map((sizeBytes) => {
    const grains = Math.ceil(sizeBytes / DIRTY_GRAIN_BYTES);
    const disk = { firstPage, grains, pages: Math.ceil(grains / PAGE_GRAINS) };
    firstPage += disk.pages;
    return disk;
  });
}

const pagesOf = (disks: readonly DiskPages[]): number => disks.reduce((sum, disk) => sum + disk.pages, 1);

function headerPage({ binding, sizesBytes }: DirtyMapOptions): Buffer {
  const page = Buffer.alloc(DIRTY_MAP_PAGE_BYTES);
  page.write(MAGIC, 8, "latin1");
  page.writeUInt32LE(DIRTY_GRAIN_BYTES, 16);
  page.writeUInt32LE(sizesBytes.length, 20);
  page.write(binding, 24, "hex");
  for (const [index, sizeBytes] of sizesBytes.entries()) page.writeBigUInt64LE(BigInt(sizeBytes), 40 + 8 * index);
  return stamp(page, 0);
}

function stamp(page: Buffer, number: number): Buffer {
  page.writeUInt32LE(crc32(page.subarray(4), number), 0);
  return page;
}

const isIntact = (page: Buffer, number: number): boolean => page.readUInt32LE(0) === crc32(page.subarray(4), number);

/** The existing file, if it is for these disks and has the right length. */
function openExisting(options: DirtyMapOptions): number | undefined {
  const { files } = options;
  let file: number;
  try {
    file = files.open(options.path, "r+");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new LeewardError("state-corrupt", `${options.path} cannot be opened.`, { path: options.path }, { cause });
  }
  const header = Buffer.alloc(DIRTY_MAP_PAGE_BYTES);
  const isLong = files.statusOf(file).lengthBytes === pagesOf(layout(options.sizesBytes)) * DIRTY_MAP_PAGE_BYTES;
  if (isLong && files.read(file, header, 0, header.length, 0) === header.length && header.equals(headerPage(options)))
    return file;
  files.close(file);
  return undefined;
}

/** Writes it in full and makes it durable under a temporary name, so that a map that exists is whole. */
function makeMap(options: DirtyMapOptions): void {
  const { files } = options;
  const temporary = `${options.path}.tmp`;
  const file = files.open(temporary, "w", 0o600);
  try {
    writeAll(files, file, headerPage(options), 0);
    for (const { firstPage, grains, pages } of layout(options.sizesBytes)) {
      for (let page = 0; page < pages; page += 1) {
        const bytes = Buffer.alloc(DIRTY_MAP_PAGE_BYTES);
        changeBits(bytes, PAGE_HEADER_BYTES, 0, Math.min(PAGE_GRAINS, grains - page * PAGE_GRAINS), true);
        writeAll(files, file, stamp(bytes, firstPage + page), (firstPage + page) * DIRTY_MAP_PAGE_BYTES);
      }
    }
    files.sync(file);
  } finally {
    files.close(file);
  }
  files.rename(temporary, options.path);
  syncFolder(files, dirname(options.path));
}

class PagedDirtyMap implements DirtyMap {
  readonly #files: Files;
  readonly #file: number;
  readonly #disks: readonly DiskPages[];
  /** Dirty grains of each page of the file. */
  readonly #counts: Uint16Array;
  /** Least recently used first. */
  readonly #cache = new Map<number, Buffer>();
  #dirtyGrains = 0;

  constructor(files: Files, file: number, sizesBytes: readonly number[]) {
    this.#files = files;
    this.#file = file;
    this.#disks = layout(sizesBytes);
    this.#counts = new Uint16Array(pagesOf(this.#disks));
  }

  get dirtyBytes(): number {
    return this.#dirtyGrains * DIRTY_GRAIN_BYTES;
  }

  /** Counts the bits of all pages; returns how many pages failed their check and were replaced. */
  count(): number {
    let damaged = 0;
    const bytes = Buffer.allocUnsafe(DIRTY_MAP_PAGE_BYTES);
    for (const disk of this.#disks) {
      for (let index = 0; index < disk.pages; index += 1) {
        const number = disk.firstPage + index;
        const whole =
          this.#files.read(this.#file, bytes, 0, bytes.length, number * DIRTY_MAP_PAGE_BYTES) === bytes.length;
        if (!whole || !isIntact(bytes, number)) {
          damaged += 1;
          bytes.fill(0);
          changeBits(bytes, PAGE_HEADER_BYTES, 0, Math.min(PAGE_GRAINS, disk.grains - index * PAGE_GRAINS), true);
          writeAll(this.#files, this.#file, stamp(bytes, number), number * DIRTY_MAP_PAGE_BYTES);
        }
        const count = countBits(bytes, PAGE_HEADER_BYTES);
        this.#counts[number] = count;
        this.#dirtyGrains += count;
      }
    }
    return damaged;
  }

  mark(disk: number, offsetBytes: number, lengthBytes: number): void {
    this.#change(
      disk,
      Math.floor(offsetBytes / DIRTY_GRAIN_BYTES),
      Math.ceil((offsetBytes + lengthBytes) / DIRTY_GRAIN_BYTES),
      true,
    );
  }

  markAll(): void {
    for (const [disk, { grains }] of this.#disks.entries()) this.#change(disk, 0, grains, true);
  }

  next(disk: number, fromBytes: number, maxBytes: number): DirtyRange | undefined {
    const { firstPage = 0, grains = 0 } = this.#disks[disk] ?? {};
    let from = Math.floor(fromBytes / DIRTY_GRAIN_BYTES);
    while (from < grains && !this.#isDirty(firstPage, from)) from = this.#nextDirty(firstPage, from, grains);
    if (from >= grains) return undefined;
    const end = Math.min(grains, from + Math.floor(maxBytes / DIRTY_GRAIN_BYTES));
    let to = from + 1;
    while (to < end && this.#isDirty(firstPage, to)) to += 1;
    return { offsetBytes: from * DIRTY_GRAIN_BYTES, lengthBytes: (to - from) * DIRTY_GRAIN_BYTES };
  }

  clear(disk: number, fromBytes: number, toBytes: number): void {
    this.#change(disk, Math.ceil(fromBytes / DIRTY_GRAIN_BYTES), Math.floor(toBytes / DIRTY_GRAIN_BYTES), false);
  }

  sync(): Promise<void> {
    return this.#files.datasyncLater(this.#file);
  }

  close(): void {
    this.#files.close(this.#file);
  }

  #isDirty(firstPage: number, grain: number): boolean {
    const number = firstPage + Math.floor(grain / PAGE_GRAINS);
    if (this.#counts[number] === 0) return false;
    const bit = grain % PAGE_GRAINS;
    return ((this.#page(number)[PAGE_HEADER_BYTES + (bit >> 3)] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  /** The next grain after a clean one that is worth checking: pages without a bit are skipped whole. */
  #nextDirty(firstPage: number, grain: number, grains: number): number {
    const index = Math.floor(grain / PAGE_GRAINS);
    const number = firstPage + index;
    const nextPage = (index + 1) * PAGE_GRAINS;
    if (this.#counts[number] === 0) return nextPage;
    const end = Math.min(PAGE_GRAINS, grains - index * PAGE_GRAINS);
    return index * PAGE_GRAINS + nextBit(this.#page(number), PAGE_HEADER_BYTES, grain % PAGE_GRAINS, end);
  }

  #change(disk: number, fromGrain: number, toGrain: number, dirty: boolean): void {
    const { firstPage = 0, grains = 0 } = this.#disks[disk] ?? {};
    const end = Math.min(toGrain, grains);
    for (let from = fromGrain; from < end;) {
      const index = Math.floor(from / PAGE_GRAINS);
      const to = Math.min(end, (index + 1) * PAGE_GRAINS);
      this.#changePage(firstPage + index, from - index * PAGE_GRAINS, to - index * PAGE_GRAINS, dirty);
      from = to;
    }
  }

  #changePage(number: number, fromBit: number, toBit: number, dirty: boolean): void {
    const before = this.#counts[number] ?? 0;
    if (!dirty && before === 0) return;
    const page = this.#page(number);
    const changed = changeBits(page, PAGE_HEADER_BYTES, fromBit, toBit, dirty);
    if (changed === 0) return;
    try {
      writeAll(this.#files, this.#file, stamp(page, number), number * DIRTY_MAP_PAGE_BYTES);
    } catch (cause) {
      this.#cache.delete(number);
      throw new LeewardError("capture-failed", "The dirty map cannot be written.", {}, { cause });
    }
    this.#counts[number] = dirty ? before + changed : before - changed;
    this.#dirtyGrains += dirty ? changed : -changed;
  }

  #page(number: number): Buffer {
    const cached = this.#cache.get(number);
    const page = cached ?? this.#read(number);
    this.#cache.delete(number);
    this.#cache.set(number, page);
    const oldest = this.#cache.size > DIRTY_MAP_CACHE_PAGES ? this.#cache.keys().next().value : undefined;
    if (oldest !== undefined) this.#cache.delete(oldest);
    return page;
  }

  #read(number: number): Buffer {
    const page = Buffer.allocUnsafeSlow(DIRTY_MAP_PAGE_BYTES);
    const count = this.#files.read(this.#file, page, 0, page.length, number * DIRTY_MAP_PAGE_BYTES);
    if (count === page.length && isIntact(page, number)) return page;
    throw new LeewardError("capture-failed", "A page of the dirty map fails its checksum.", { page: number });
  }
}
