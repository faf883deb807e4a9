import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { LeewardError } from "../../replication/errors.ts";
import { ACTIVITY_MAX_REGIONS, ACTIVITY_REGION_BYTES } from "../limits.ts";
import { syncFolder, writeAll } from "../system/durable-file.ts";
import { isMissing, type Files } from "../system/files.ts";

/**
 * What ended the log. `disk-full`: the disk of journal and spool; `journal-failed`: it cannot be trusted before a
 * restart; `stream-changed`: another begins.
 */
export type TrackingReason = "spool-full" | "disk-full" | "journal-failed" | "stream-changed";

/** Whether changes of the disks go into the log, or only into the dirty map. */
export type CaptureMode = { readonly kind: "logging" } | { readonly kind: "tracking"; readonly reason: TrackingReason };

/**
 * The activity log: which regions of the disks may hold data that neither journal nor dirty map has on the medium. A
 * region is durably listed here before its image is touched, so after a power failure every difference lies in one of
 * them. The mode is stored with them, because it has to change just as reliably on a full disk. Two slots in a file of
 * fixed length are written in turn; the newer intact one counts.
 */
export interface Activity {
  readonly mode: CaptureMode;
  /**
   * Records before this one are never redone: the images had them durably when the log ended, and moved on without it.
   */
  readonly redoFromSequence: number;
  /** True when the whole range may be touched now; counts as a use of its regions. */
  touch(disk: number, offsetBytes: number, lengthBytes: number): boolean;
  /**
   * Makes the range touchable. `settle` syncs what was recorded or marked so far; false when it cannot, and then
   * nothing may be promised.
   */
  markActive(disk: number, offsetBytes: number, lengthBytes: number, settle: () => Promise<boolean>): Promise<void>;
  /** All regions that may differ, including those being written to the file. */
  regions(): readonly ActiveRegion[];
  /** Resolves when it is durable. */
  change(mode: CaptureMode, redoFromSequence: number): Promise<void>;
  close(): void;
}

interface ActiveRegion {
  readonly disk: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface ActivityOptions {
  readonly files: Files;
  readonly path: string;
  /** 32 hex digits. */
  readonly binding: string;
  /** Tests make them small. */
  readonly regionBytes?: number | undefined;
  readonly maxRegions?: number | undefined;
}

const MAGIC = "LWACTV01";
const AT = {
  checksum: 0,
  count: 4,
  magic: 8,
  binding: 16,
  sequence: 32,
  redoFrom: 40,
  regionBytes: 48,
  mode: 52,
  regions: 56,
};
const MODES: readonly CaptureMode[] = [
  { kind: "logging" },
  { kind: "tracking", reason: "spool-full" },
  { kind: "tracking", reason: "disk-full" },
  { kind: "tracking", reason: "journal-failed" },
  { kind: "tracking", reason: "stream-changed" },
];
/** A region in memory is one number: its disk, and its index on the disk. */
const DISK_STRIDE = 2 ** 32;

/** Throws `state-corrupt` when the file exists and neither slot is whole: no crash causes that. */
export function openActivity(options: ActivityOptions): Activity {
  return new SlottedActivity(options);
}

interface Slot {
  readonly sequence: number;
  readonly mode: CaptureMode;
  readonly redoFromSequence: number;
  readonly regions: readonly number[];
}

class SlottedActivity implements Activity {
  readonly #files: Files;
  readonly #file: number;
  readonly #binding: string;
  readonly #regionBytes: number;
  readonly #maxRegions: number;
  /** Regions of the newest durable slot, with the number of their last use. */
  readonly #hot = new Map<number, number>();
  /** Wanted, but not durable yet. */
  readonly #wanted = new Set<number>();
  #uses = 0;
  #slot: Slot = { sequence: 0, mode: { kind: "logging" }, redoFromSequence: 0, regions: [] };
  #mode: CaptureMode = { kind: "logging" };
  #redoFromSequence = 0;
  #writing: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;
  /** Callers of `markActive`, one at a time: each frees its own slots. */
  #turn: Promise<void> = Promise.resolve();

  constructor({
    files,
    path,
    binding,
    regionBytes = ACTIVITY_REGION_BYTES,
    maxRegions = ACTIVITY_MAX_REGIONS,
  }: ActivityOptions) {
    this.#files = files;
    this.#binding = binding;
    this.#regionBytes = regionBytes;
    this.#maxRegions = maxRegions;
    const existing = openExisting(files, path);
    // Made under a temporary name: a file of this name has a whole slot. Both slots are written in full, so it never
    // needs more space.
    this.#file = existing ?? files.open(`${path}.tmp`, "w+", 0o600);
    if (existing === undefined) {
      for (const sequence of [0, 1]) this.#write({ ...this.#slot, sequence });
      this.#slot = { ...this.#slot, sequence: 1 };
      files.sync(this.#file);
      files.rename(`${path}.tmp`, path);
      syncFolder(files, dirname(path));
    } else {
      const slots = [0, 1]
        .flatMap((number) => this.#read(number) ?? [])
        .toSorted((left, right) => right.sequence - left.sequence);
      const newest = slots[0];
      if (newest === undefined) throw new LeewardError("state-corrupt", `${path} is damaged.`, { path });
      this.#slot = newest;
    }
    // A slot may have been written by a process that died before it was durable.
    files.datasync(this.#file);
    this.#mode = this.#slot.mode;
    this.#redoFromSequence = this.#slot.redoFromSequence;
    for (const region of this.#slot.regions) this.#hot.set(region, 0);
  }

  get mode(): CaptureMode {
    return this.#mode;
  }

  get redoFromSequence(): number {
    return this.#redoFromSequence;
  }

  touch(disk: number, offsetBytes: number, lengthBytes: number): boolean {
    const from = disk * DISK_STRIDE + Math.floor(offsetBytes / this.#regionBytes);
    const to = disk * DISK_STRIDE + Math.floor((offsetBytes + lengthBytes - 1) / this.#regionBytes);
    for (let region = from; region <= to; region += 1) if (!this.#hot.has(region)) return false;
    this.#uses += 1;
    for (let region = from; region <= to; region += 1) this.#hot.set(region, this.#uses);
    return true;
  }

  markActive(disk: number, offsetBytes: number, lengthBytes: number, settle: () => Promise<boolean>): Promise<void> {
    const turn = this.#turn.then(() => this.#markActive(disk, offsetBytes, lengthBytes, settle));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  regions(): readonly ActiveRegion[] {
    return [...this.#hot.keys(), ...this.#wanted].map((region) => ({
      disk: Math.floor(region / DISK_STRIDE),
      offsetBytes: (region % DISK_STRIDE) * this.#regionBytes,
      lengthBytes: this.#regionBytes,
    }));
  }

  async change(mode: CaptureMode, redoFromSequence: number): Promise<void> {
    this.#mode = mode;
    this.#redoFromSequence = redoFromSequence;
    await this.#persist();
  }

  close(): void {
    this.#files.close(this.#file);
  }

  async #markActive(
    disk: number,
    offsetBytes: number,
    lengthBytes: number,
    settle: () => Promise<boolean>,
  ): Promise<void> {
    const from = Math.floor(offsetBytes / this.#regionBytes);
    const to = Math.floor((offsetBytes + lengthBytes - 1) / this.#regionBytes);
    const cold = Array.from({ length: to - from + 1 }, (_, index) => disk * DISK_STRIDE + from + index).filter(
      (key) => !this.#hot.has(key),
    );
    if (cold.length === 0) return;
    if (this.#hot.size + cold.length > this.#maxRegions && !(await this.#cool(settle))) return;
    for (const region of cold) this.#wanted.add(region);
    await this.#persist();
  }

  /** Releases the least recently used quarter, once everything recorded or marked in it is on the medium. */
  async #cool(settle: () => Promise<boolean>): Promise<boolean> {
    const oldest = [...this.#hot]
      .toSorted(([, left], [, right]) => left - right)
      .slice(0, Math.ceil(this.#maxRegions / 4) + 1);
    if (!(await settle())) return false;
    // Regions used meanwhile may have records that `settle` did not cover.
    for (const [region, use] of oldest) if (this.#hot.get(region) === use) this.#hot.delete(region);
    return this.#hot.size < this.#maxRegions;
  }

  /** Concurrent callers share a write; one that comes during a write gets the next. */
  #persist(): Promise<void> {
    if (this.#waiting === undefined) {
      const before = this.#writing;
      const write = async (): Promise<void> => {
        await before.catch(() => undefined);
        this.#waiting = undefined;
        await this.#writeNext();
      };
      this.#waiting = this.#writing = write();
    }
    return this.#waiting;
  }

  async #writeNext(): Promise<void> {
    const wanted = [...this.#wanted];
    const slot: Slot = {
      sequence: this.#slot.sequence + 1,
      mode: this.#mode,
      redoFromSequence: this.#redoFromSequence,
      regions: [...this.#hot.keys(), ...wanted],
    };
    try {
      this.#write(slot);
      await this.#files.datasyncLater(this.#file);
    } catch (cause) {
      throw new LeewardError("capture-failed", "The activity log cannot be written.", {}, { cause });
    }
    this.#slot = slot;
    this.#uses += 1;
    for (const region of wanted) {
      this.#wanted.delete(region);
      this.#hot.set(region, this.#uses);
    }
  }

  /** Space for twice the bound: an active range and the modes never wait for a slot. */
  get #slotBytes(): number {
    return Math.ceil((AT.regions + 16 * this.#maxRegions) / 4096) * 4096;
  }

  #write(slot: Slot): void {
    const bytes = Buffer.alloc(this.#slotBytes);
    bytes.writeUInt32LE(slot.regions.length, AT.count);
    bytes.write(MAGIC, AT.magic, "latin1");
    bytes.write(this.#binding, AT.binding, "hex");
    bytes.writeBigUInt64LE(BigInt(slot.sequence), AT.sequence);
    bytes.writeBigUInt64LE(BigInt(slot.redoFromSequence), AT.redoFrom);
    bytes.writeUInt32LE(this.#regionBytes, AT.regionBytes);
    bytes.writeUInt32LE(
      MODES.findIndex((mode) => JSON.stringify(mode) === JSON.stringify(slot.mode)),
      AT.mode,
    );
    for (const [index, region] of slot.regions.entries())
      bytes.writeBigUInt64LE(BigInt(region), AT.regions + 8 * index);
    bytes.writeUInt32LE(crc32(bytes.subarray(4)), AT.checksum);
    writeAll(this.#files, this.#file, bytes, (slot.sequence % 2) * bytes.length);
  }

  /** Undefined when the slot is torn, or not of this item and stream. */
  #read(number: number): Slot | undefined {
    const bytes = Buffer.alloc(this.#slotBytes);
    if (this.#files.read(this.#file, bytes, 0, bytes.length, number * bytes.length) !== bytes.length) return undefined;
    if (
      bytes.readUInt32LE(AT.checksum) !== crc32(bytes.subarray(4)) ||
      bytes.toString("latin1", AT.magic, AT.magic + 8) !== MAGIC
    )
      return undefined;
    if (
      bytes.toString("hex", AT.binding, AT.binding + 16) !== this.#binding ||
      bytes.readUInt32LE(AT.regionBytes) !== this.#regionBytes
    )
      return undefined;
    const mode = MODES[bytes.readUInt32LE(AT.mode)];
    if (mode === undefined) return undefined;
    return {
      sequence: Number(bytes.readBigUInt64LE(AT.sequence)),
      mode,
      redoFromSequence: Number(bytes.readBigUInt64LE(AT.redoFrom)),
      regions: Array.from({ length: bytes.readUInt32LE(AT.count) }, (_, index) =>
        Number(bytes.readBigUInt64LE(AT.regions + 8 * index)),
      ),
    };
  }
}

function openExisting(files: Files, path: string): number | undefined {
  try {
    return files.open(path, "r+");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new LeewardError("state-corrupt", `${path} cannot be opened.`, { path }, { cause });
  }
}
