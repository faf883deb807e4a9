import { basename, dirname, normalize } from "node:path";
import type { Files, OpenFlags } from "../../mobility/system/files.ts";
import type { Failure, Operation } from "./memory-failure.ts";
import type { MediumOptions, MemoryMedium, MemoryProcess } from "./memory-medium.ts";
import { MemoryFile, MemoryFolder, statusFrom, type MemoryNode } from "./memory-nodes.ts";

const SECTOR = 512;
/** Contents of removed files that may show after a power failure where a file grew. */
const STALE_COUNT = 8;
const STALE_CHANCE = 0.1;

export function createMemoryMedium(options: MediumOptions): MemoryMedium {
  return new Medium(options);
}

function failure(code: string, operation: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${operation} '${path}'`), { code });
}

const DEAD = "the process is dead";

class Medium implements MemoryMedium {
  readonly options: MediumOptions;
  capacityBytes: number;
  usedBytes = 0;
  readonly #root = new MemoryFolder(1);
  readonly #processes = new Set<Process>();
  readonly #failures = new Set<Failure>();
  #inodes = 1;
  #stale: Buffer[] = [];

  constructor(options: MediumOptions) {
    this.options = options;
    this.capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER;
  }

  process(): MemoryProcess {
    const process = new Process(this);
    this.#processes.add(process);
    return process;
  }

  cutPower(): void {
    for (const process of this.#processes) process.kill();
    this.#processes.clear();
    this.usedBytes = 0;
    const seen = new Set<MemoryNode>();
    const cut = (node: MemoryNode): void => {
      if (node.kind === "file") node.holders += 1;
      if (seen.has(node)) return;
      seen.add(node);
      if (node.kind === "file") {
        const { random, staleChance = STALE_CHANCE } = this.options;
        node.holders = 1;
        const old = this.#stale.filter((bytes) => bytes.length > node.durableBytes);
        node.cut(random, old.length > 0 && random.chance(staleChance) ? random.pick(old) : undefined);
        this.usedBytes += node.bytes.length;
      } else {
        node.cut(this.options.random);
        for (const child of node.names.values()) cut(child);
      }
    };
    cut(this.#root);
  }

  fail(given: Failure): () => void {
    this.#failures.add(given);
    return () => void this.#failures.delete(given);
  }

  settle(): void {
    this.#each(this.#root, "", (node) => node.persist(node.mark()));
  }

  put(path: string, bytes: Uint8Array): void {
    this.makeFolder(dirname(path));
    const { folder, name } = this.place(path, "put");
    const old = folder.names.get(name);
    const file = new MemoryFile(this.nextInode(), bytes);
    file.holders = 1;
    this.usedBytes += bytes.length;
    folder.change(new Map([[name, file]]));
    this.let(old);
    this.settle();
  }

  get(path: string): Buffer | undefined {
    const node = this.find(path);
    return node?.kind === "file" ? Buffer.from(node.bytes) : undefined;
  }

  paths(): readonly string[] {
    const paths: string[] = [];
    this.#each(this.#root, "", (node, path) => void (node.kind === "file" && paths.push(path)));
    return paths.toSorted();
  }

  nextInode(): number {
    this.#inodes += 1;
    return this.#inodes;
  }

  find(path: string): MemoryNode | undefined {
    let node: MemoryNode | undefined = this.#root;
    for (const name of normalize(path).split("/").filter(Boolean))
      node = node?.kind === "folder" ? node.names.get(name) : undefined;
    return node;
  }

  /** A path's folder, and its name there. */
  place(path: string, operation: string): { readonly folder: MemoryFolder; readonly name: string } {
    const folder = this.find(dirname(path));
    if (folder?.kind !== "folder") throw failure(folder === undefined ? "ENOENT" : "ENOTDIR", operation, path);
    return { folder, name: basename(path) };
  }

  makeFolder(path: string): void {
    const node = this.find(path);
    if (node?.kind === "file") throw failure("EEXIST", "mkdir", path);
    if (node !== undefined) return;
    this.makeFolder(dirname(path));
    const { folder, name } = this.place(path, "mkdir");
    folder.change(new Map([[name, new MemoryFolder(this.nextInode())]]));
  }

  /** Drops a name or handle. */
  let(node: MemoryNode | undefined): void {
    if (node?.kind !== "file") return;
    node.holders -= 1;
    if (node.holders > 0) return;
    this.usedBytes -= node.bytes.length;
    this.#stale = [Buffer.from(node.bytes), ...this.#stale].slice(0, STALE_COUNT);
  }

  /** The failure for this operation, once counted. */
  failing(operation: Operation, path: string): Failure | undefined {
    for (const each of this.#failures) {
      if (!each.operations.includes(operation) || !each.path.test(path)) continue;
      if (each.times !== undefined) {
        each.times -= 1;
        if (each.times <= 0) this.#failures.delete(each);
      }
      return each;
    }
    return undefined;
  }

  #each(node: MemoryNode, path: string, visit: (node: MemoryNode, path: string) => void): void {
    visit(node, path);
    if (node.kind === "folder") for (const [name, child] of node.names) this.#each(child, `${path}/${name}`, visit);
  }
}

interface Handle {
  readonly node: MemoryNode;
  readonly path: string;
  readonly reads: boolean;
  readonly writes: boolean;
}

/** Operations at which a doomed process dies, halfway through. */
const CHANGING: ReadonlySet<Operation> = new Set([
  "write",
  "truncate",
  "datasync",
  "sync",
  "rename",
  "remove",
  "makeFolder",
  "make",
]);

class Process implements MemoryProcess {
  readonly files: Files;
  readonly #medium: Medium;
  readonly #handles = new Map<number, Handle>();
  /** Called but not answered. */
  readonly #underWay = new Set<() => unknown>();
  #nextHandle = 3;
  #alive = true;
  #isDying = false;
  #readsLater = 0;
  #doom: { left: number; readonly death: "kill" | "power" } | undefined;

  constructor(medium: Medium) {
    this.#medium = medium;
    this.files = this.#files();
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  get openPaths(): readonly string[] {
    return [...this.#handles.values()].map(({ path }) => path).toSorted();
  }

  kill(): void {
    if (!this.#alive) return;
    const { random } = this.#medium.options;
    this.#doom = undefined;
    for (const work of random.shuffle([...this.#underWay])) {
      if (!random.chance(0.5)) continue;
      try {
        work();
      } catch {
        // It is not reported.
      }
    }
    this.#underWay.clear();
    this.#alive = false;
    for (const { node } of this.#handles.values()) this.#medium.let(node);
    this.#handles.clear();
  }

  dieAfter(operations: number, death: "kill" | "power"): void {
    this.#doom = { left: operations, death };
  }

  #files(): Files {
    return {
      open: (path, flags) => this.#open(path, flags),
      close: (file) => this.#close(file),
      read: (file, target, offset, lengthBytes, positionBytes) =>
        this.#read(file, target.subarray(offset, offset + lengthBytes), positionBytes),
      write: (file, bytes, offset, lengthBytes, at) =>
        this.#write(file, [bytes.subarray(offset, offset + lengthBytes)], at),
      writev: (file, parts, at) => this.#write(file, parts, at),
      truncate: (file, lengthBytes) => this.#truncate(file, lengthBytes),
      datasync: (file) => this.#sync("datasync", file)(),
      sync: (file) => this.#sync("sync", file)(),
      statusOf: (file) => statusFrom(this.#handle(file).node),

      openLater: (path, flags) => this.#later(() => this.#open(path, flags)),
      closeLater: (file) => this.#later(() => this.#close(file)),
      readLater: (file, target, offset, lengthBytes, positionBytes) =>
        this.#readLater(file, target.subarray(offset, offset + lengthBytes), positionBytes),
      writeLater: (file, bytes, offset, lengthBytes, at) =>
        this.#later(() => this.#write(file, [bytes.subarray(offset, offset + lengthBytes)], at)),
      // Writes between the call and its end are not promised.
      datasyncLater: (file) => this.#later(this.#sync("datasync", file)),
      syncLater: (file) => this.#later(this.#sync("sync", file)),
      renameLater: (from, to) => this.#later(() => this.#rename(from, to)),

      rename: (from, to) => this.#rename(from, to),
      remove: (path) => this.#remove(path),
      list: (path) => this.#list(path),
      status: (path) => this.#do("status", path, () => statusFrom(this.#existing(path, "stat"))),
      readFile: (path) => this.#readFile(path),
      makeFolder: (path) => this.#do("makeFolder", path, () => this.#medium.makeFolder(path)),
      freeBytes: () => Math.max(0, this.#medium.capacityBytes - this.#medium.usedBytes),
    };
  }

  /** Does the work unless a failure, or the process's end, is planned for it. */
  #do<Result>(
    operation: Operation,
    path: string,
    work: () => Result,
    failed: (failure: Failure) => void = () => undefined,
  ): Result {
    if (!this.#alive) throw failure("ESHUTDOWN", operation, DEAD);
    const isLast = CHANGING.has(operation) && this.#doom !== undefined && (this.#doom.left -= 1) < 0;
    if (isLast) {
      // Done or not, it is not reported.
      const death = this.#doom?.death;
      this.#doom = undefined;
      this.#isDying = true;
      if (this.#medium.options.random.chance(0.5)) work();
      if (death === "power") this.#medium.cutPower();
      else this.kill();
      throw failure("ESHUTDOWN", operation, DEAD);
    }
    const planned = this.#medium.failing(operation, path);
    if (planned !== undefined && planned.when !== "after") {
      failed(planned);
      throw failure(planned.code, operation, path);
    }
    const result = work();
    if (planned !== undefined) throw failure(planned.code, operation, path);
    return result;
  }

  #later<Result>(work: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      // A dead process waits for ever and runs no further.
      if (!this.#alive) return;
      this.#underWay.add(work);
      this.#medium.options.schedule(() => {
        if (!this.#underWay.delete(work)) return;
        try {
          const result = work();
          if (this.#alive) resolve(result);
        } catch (error) {
          if (this.#alive) reject(error);
        }
      });
    });
  }

  #handle(file: number): Handle {
    if (!this.#alive) throw failure("ESHUTDOWN", "use", DEAD);
    const handle = this.#handles.get(file);
    if (handle === undefined) throw failure("EBADF", "use", String(file));
    return handle;
  }

  #existing(path: string, operation: string): MemoryNode {
    const node = this.#medium.find(path);
    if (node === undefined) throw failure("ENOENT", operation, path);
    return node;
  }

  #open(path: string, flags: OpenFlags): number {
    const makes = flags === "w" || flags === "w+" || flags === "wx";
    return this.#do(makes ? "make" : "open", path, () => {
      const medium = this.#medium;
      let node = medium.find(path);
      if (flags === "wx" && node !== undefined) throw failure("EEXIST", "open", path);
      if (node?.kind === "folder" && flags !== "r") throw failure("EISDIR", "open", path);
      if (node === undefined) {
        if (!makes) throw failure("ENOENT", "open", path);
        const { folder, name } = medium.place(path, "open");
        if (medium.capacityBytes - medium.usedBytes < SECTOR) throw failure("ENOSPC", "open", path);
        node = new MemoryFile(medium.nextInode());
        node.holders = 1;
        folder.change(new Map([[name, node]]));
      } else if (node.kind === "file" && makes) {
        const file = node;
        this.#grow(file, () => file.truncate(0));
      }
      if (node.kind === "file") node.holders += 1;
      const file = this.#nextHandle;
      this.#nextHandle += 1;
      const writes = flags !== "r";
      this.#handles.set(file, { node, path, reads: flags !== "w" && flags !== "wx", writes });
      return file;
    });
  }

  #close(file: number): void {
    const { node } = this.#handle(file);
    this.#handles.delete(file);
    this.#medium.let(node);
  }

  #read(file: number, target: Uint8Array, positionBytes: number): number {
    const { node, path, reads } = this.#handle(file);
    if (!reads) throw failure("EBADF", "read", path);
    if (node.kind === "folder") throw failure("EISDIR", "read", path);
    return this.#do("read", path, () => {
      const bytes = node.bytes.subarray(positionBytes, positionBytes + target.length);
      target.set(bytes);
      return bytes.length;
    });
  }

  /** Returns the state of some moment between call and answer: for every second read, at the call. */
  #readLater(file: number, target: Uint8Array, positionBytes: number): Promise<number> {
    const node = this.#handles.get(file)?.node;
    this.#readsLater += 1;
    const isEarly = this.#readsLater % 2 === 0 && node?.kind === "file";
    const atCall = isEarly
      ? Buffer.from(node.bytes.subarray(positionBytes, positionBytes + target.length))
      : new Uint8Array();
    return this.#later(() => {
      const count = this.#read(file, target, positionBytes);
      target.set(atCall);
      return count;
    });
  }

  #write(file: number, parts: readonly Uint8Array[], at: number): number {
    const { node, path, writes } = this.#handle(file);
    if (!writes || node.kind === "folder") throw failure("EBADF", "write", path);
    const bytes = parts.length === 1 ? (parts[0] ?? new Uint8Array()) : Buffer.concat(parts);
    const failed = ({ when }: Failure): void => {
      const count = when === "partly" ? this.#medium.options.random.below(bytes.length) : 0;
      if (count > 0) this.#grow(node, () => node.write(at, bytes.subarray(0, count)));
    };
    return this.#do(
      "write",
      path,
      () => {
        const medium = this.#medium;
        const { random, shortWriteChance = 0 } = medium.options;
        const growth = Math.max(0, at + bytes.length - node.bytes.length);
        const missing = Math.max(0, growth - Math.max(0, medium.capacityBytes - medium.usedBytes));
        let count = Math.max(0, bytes.length - missing);
        if (count === 0 && bytes.length > 0) throw failure("ENOSPC", "write", path);
        // Like kernels, at a sector border: a disk writes sectors whole.
        const borders = Math.floor((at + count - 1) / SECTOR) - Math.floor(at / SECTOR);
        if (borders > 0 && random.chance(this.#isDying ? 0.5 : shortWriteChance)) {
          count = (Math.floor(at / SECTOR) + 1 + random.below(borders)) * SECTOR - at;
        }
        this.#grow(node, () => node.write(at, bytes.subarray(0, count)));
        return count;
      },
      failed,
    );
  }

  #truncate(file: number, lengthBytes: number): void {
    const { node, path, writes } = this.#handle(file);
    if (!writes || node.kind === "folder") throw failure("EINVAL", "truncate", path);
    this.#do("truncate", path, () => this.#grow(node, () => node.truncate(lengthBytes)));
  }

  #grow(file: MemoryFile, change: () => void): void {
    const beforeBytes = file.bytes.length;
    change();
    this.#medium.usedBytes += file.bytes.length - beforeBytes;
  }

  /** Covers what was done before this call. */
  #sync(operation: "sync" | "datasync", file: number): () => void {
    const { node, path } = this.#handle(file);
    const mark = node.mark();
    const lose = (): void => node.lose(mark, this.#medium.options.random);
    return () => this.#do(operation, path, () => node.persist(mark), lose);
  }

  #rename(from: string, to: string): void {
    this.#do("rename", to, () => {
      const source = this.#medium.place(from, "rename");
      const target = this.#medium.place(to, "rename");
      const node = source.folder.names.get(source.name);
      if (node === undefined) throw failure("ENOENT", "rename", from);
      if (source.folder !== target.folder)
        throw failure("EXDEV", "rename", `${from}' to another folder: not modelled '${to}`);
      const old = target.folder.names.get(target.name);
      if (old === node) return;
      if (old?.kind === "folder") throw failure("EISDIR", "rename", to);
      target.folder.change(
        new Map<string, MemoryNode | undefined>([
          [source.name, undefined],
          [target.name, node],
        ]),
      );
      this.#medium.let(old);
    });
  }

  #remove(path: string): void {
    this.#do("remove", path, () => {
      const node = this.#medium.find(path);
      if (node === undefined) return;
      if (node.kind === "folder") throw failure("EISDIR", "remove", path);
      const { folder, name } = this.#medium.place(path, "remove");
      folder.change(new Map([[name, undefined]]));
      this.#medium.let(node);
    });
  }

  #list(path: string): readonly string[] {
    return this.#do("list", path, () => {
      const node = this.#existing(path, "list");
      if (node.kind === "file") throw failure("ENOTDIR", "list", path);
      return this.#medium.options.random.shuffle([...node.names.keys()]);
    });
  }

  #readFile(path: string): Buffer {
    return this.#do("read", path, () => {
      const node = this.#existing(path, "read");
      if (node.kind === "folder") throw failure("EISDIR", "read", path);
      return Buffer.from(node.bytes);
    });
  }
}
