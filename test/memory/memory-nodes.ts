import type { FileStatus } from "../../mobility/system/files.ts";
import type { Random } from "./random.ts";

const SECTOR = 512;

type Change =
  | { readonly kind: "write"; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: "truncate"; readonly lengthBytes: number };

/**
 * A file's content: as every process sees it, and as it is certain on the medium; between them the changes since the
 * last sync, which a power failure keeps, loses or keeps in part, sector by sector.
 */
export class MemoryFile {
  readonly kind = "file";
  readonly inode: number;
  /** Its names and open handles: without any, its space is free. */
  holders = 0;
  #seen: Growing;
  #durable: Growing;
  #pending: Change[] = [];
  /** The number of changes made, and how many of them are durable or lost for good. */
  #made = 0;

  constructor(inode: number, bytes: Uint8Array = new Uint8Array()) {
    this.inode = inode;
    this.#seen = new Growing(bytes);
    this.#durable = new Growing(bytes);
  }

  get bytes(): Buffer {
    return this.#seen.bytes;
  }

  get durableBytes(): number {
    return this.#durable.bytes.length;
  }

  write(at: number, bytes: Uint8Array): void {
    this.#make({ kind: "write", at, bytes: Buffer.from(bytes) });
  }

  truncate(lengthBytes: number): void {
    this.#make({ kind: "truncate", lengthBytes });
  }

  /** All changes made so far, for `persist` and `lose`. */
  mark(): number {
    return this.#made;
  }

  persist(mark: number): void {
    for (const change of this.#taken(mark)) this.#durable.apply(change);
  }

  /**
   * A sync failed: of each change the medium has some sectors, and no later sync adds the others, though every process
   * still reads them.
   */
  lose(mark: number, random: Random): void {
    for (const change of this.#taken(mark)) {
      if (change.kind === "truncate") {
        if (random.chance(0.5)) this.#durable.apply(change);
        continue;
      }
      for (const piece of sectorsOf(change)) if (random.chance(0.5)) this.#durable.apply(piece);
    }
  }

  /** Applies a power failure. `stale` are earlier bytes of the medium: grown but unwritten parts may show them. */
  cut(random: Random, stale: Buffer | undefined): void {
    const mood = stale === undefined ? random.below(4) : 3;
    const count = mood === 0 ? 0 : mood === 1 ? this.#pending.length : random.below(this.#pending.length + 1);
    const left = mood === 3 ? torn(this.#durable, this.#pending, random, stale) : this.#after(count);
    this.#pending = [];
    this.#durable = new Growing(left);
    this.#seen = new Growing(left);
  }

  #after(count: number): Buffer {
    for (const change of this.#pending.slice(0, count)) this.#durable.apply(change);
    return this.#durable.bytes;
  }

  #make(change: Change): void {
    this.#seen.apply(change);
    this.#pending.push(change);
    this.#made += 1;
  }

  #taken(mark: number): readonly Change[] {
    const count = Math.max(0, mark - (this.#made - this.#pending.length));
    return this.#pending.splice(0, count);
  }
}

function* sectorsOf({ at, bytes }: Change & { readonly kind: "write" }): Generator<Change> {
  for (let from = 0; from < bytes.length;) {
    const to = Math.min(bytes.length, from + SECTOR - ((at + from) % SECTOR));
    yield { kind: "write", at: at + from, bytes: bytes.subarray(from, to) };
    from = to;
  }
}

/** Every sector as after any of the changes, and the length too. */
function torn(durable: Growing, changes: readonly Change[], random: Random, stale: Buffer | undefined): Buffer {
  const before = durable.bytes.length;
  const lengths = [before];
  for (const change of changes) {
    const last = lengths.at(-1) ?? 0;
    lengths.push(change.kind === "truncate" ? change.lengthBytes : Math.max(last, change.at + change.bytes.length));
  }
  const lengthBytes = random.pick(lengths);
  const sectors = Math.ceil(Math.max(...lengths) / SECTOR);
  /** How many of the changes each sector has seen. */
  const nothing = stale !== undefined && random.chance(0.5);
  const seen = Array.from({ length: sectors }, () => (nothing ? 0 : random.below(changes.length + 1)));
  const bytes = Buffer.alloc(sectors * SECTOR);
  bytes.set(durable.bytes);
  if (stale !== undefined && before % SECTOR === 0)
    bytes.set(stale.subarray(before, bytes.length), Math.min(before, bytes.length));
  for (const [index, change] of changes.entries()) {
    if (change.kind === "truncate") {
      for (let sector = Math.floor(change.lengthBytes / SECTOR); sector < sectors; sector += 1) {
        if ((seen[sector] ?? 0) > index)
          bytes.fill(0, Math.max(sector * SECTOR, change.lengthBytes), (sector + 1) * SECTOR);
      }
      continue;
    }
    for (const piece of sectorsOf(change)) {
      if (piece.kind === "write" && (seen[Math.floor(piece.at / SECTOR)] ?? 0) > index)
        bytes.set(piece.bytes, piece.at);
    }
  }
  return bytes.subarray(0, lengthBytes);
}

/** Bytes that grow without being copied each time. */
class Growing {
  #room: Buffer;
  #lengthBytes: number;

  constructor(bytes: Uint8Array) {
    this.#room = Buffer.from(bytes);
    this.#lengthBytes = bytes.length;
  }

  get bytes(): Buffer {
    return this.#room.subarray(0, this.#lengthBytes);
  }

  apply(change: Change): void {
    if (change.kind === "truncate") return this.#resize(change.lengthBytes);
    const end = change.at + change.bytes.length;
    if (end > this.#lengthBytes) this.#resize(end);
    this.#room.set(change.bytes, change.at);
  }

  #resize(lengthBytes: number): void {
    if (lengthBytes > this.#room.length) {
      const room = Buffer.alloc(Math.max(lengthBytes, 2 * this.#room.length));
      room.set(this.bytes);
      this.#room = room;
    } else if (lengthBytes > this.#lengthBytes) this.#room.fill(0, this.#lengthBytes, lengthBytes);
    this.#lengthBytes = lengthBytes;
  }
}

export type MemoryNode = MemoryFile | MemoryFolder;
/** Names that change together: a rename shows all or nothing. */
type Names = ReadonlyMap<string, MemoryNode | undefined>;

/** The names in a folder: as every process sees them, and as they are certain on the medium. */
export class MemoryFolder {
  readonly kind = "folder";
  readonly inode: number;
  #seen = new Map<string, MemoryNode>();
  #durable = new Map<string, MemoryNode>();
  #pending: Names[] = [];
  #made = 0;

  constructor(inode: number) {
    this.inode = inode;
  }

  get names(): ReadonlyMap<string, MemoryNode> {
    return this.#seen;
  }

  change(names: Names): void {
    applyNames(this.#seen, names);
    this.#pending.push(names);
    this.#made += 1;
  }

  mark(): number {
    return this.#made;
  }

  persist(mark: number): void {
    for (const names of this.#taken(mark)) applyNames(this.#durable, names);
  }

  /** A sync failed: the names stay as uncertain as before, and the next sync may still save them. */
  lose(): void {}

  /** After a power failure each name is in the state of its last synced change or of a later one. */
  cut(random: Random): void {
    const chance = random.pick([0, 0.2, 0.5, 1]);
    const stopped = new Set<string>();
    for (const names of this.#pending) {
      const goes = ![...names.keys()].some((name) => stopped.has(name)) && !random.chance(chance);
      if (goes) applyNames(this.#durable, names);
      else for (const name of names.keys()) stopped.add(name);
    }
    this.#pending = [];
    this.#seen = new Map(this.#durable);
  }

  #taken(mark: number): readonly Names[] {
    const count = Math.max(0, mark - (this.#made - this.#pending.length));
    return this.#pending.splice(0, count);
  }
}

function applyNames(all: Map<string, MemoryNode>, names: Names): void {
  for (const [name, node] of names) {
    if (node === undefined) all.delete(name);
    else all.set(name, node);
  }
}

export function statusFrom(node: MemoryNode): FileStatus {
  const identity = `1 ${node.inode}`;
  return { kind: node.kind, lengthBytes: node.kind === "file" ? node.bytes.length : 0, deviceNumber: 0, identity };
}
