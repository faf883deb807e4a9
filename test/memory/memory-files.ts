import { basename, dirname, normalize } from "node:path";
import type { Files } from "../../mobility/files.ts";
import { MemoryFile, MemoryFolder, failure } from "./memory-nodes.ts";
import type { MemoryNode } from "./memory-nodes.ts";
import { Process } from "./memory-process.ts";
import type { Random } from "./random.ts";

/** Contents of removed files that a power failure may show where a newer file grew. */
const STALE_COUNT = 8;
const STALE_CHANCE = 0.1;

export type Operation =
  /** An open that makes or empties the file. */
  "make" | "open" | "read" | "write" | "truncate" | "datasync" | "sync" | "rename" | "remove" | "list" | "status" | "makeFolder";

/**
 * What goes wrong: `after` says that the operation had its effect, `partly` that a write took some of what it was given before. A failed sync loses part of what
 * it should have kept, as kernels do.
 */
export interface Failure {
  readonly operations: readonly Operation[];
  readonly path: RegExp;
  readonly code: "EIO" | "ENOSPC" | "EROFS";
  readonly when: "before" | "partly" | "after";
  /** How often; without it for ever. */
  times?: number;
}

/**
 * A disk in memory that knows what a power failure leaves: of every file the bytes of its last sync, and of what was written since any sectors or none; names
 * that no sync of their folder covered may be missing, old or back. All chance comes from `random`, all time from `schedule`.
 */
export interface MemoryMedium {
  /** What all files together may take; changes at any time. */
  capacityBytes: number;
  readonly usedBytes: number;
  /** A process of its own, as it sees the medium. */
  process(): MemoryProcess;
  /** Every process dies, and what was not synced is lost, or not. */
  cutPower(): void;
  /** Fails what it names until the function it returns is called. */
  fail(failure: Failure): () => void;
  /** What stands here now survives anything. */
  settle(): void;
  /** From outside, for tests: durable at once, with the folders above it. */
  put(path: string, bytes: Uint8Array): void;
  get(path: string): Buffer | undefined;
  /** All paths of files. */
  paths(): readonly string[];
}

export interface MemoryProcess {
  readonly files: Files;
  readonly isAlive: boolean;
  /** Not closed yet. */
  readonly openHandles: number;
  /** What reached a write call stays; of what was asked for and not answered any part may have been done. */
  kill(): void;
  /** Lets it die in the middle of its nth operation from now on that changes or syncs something; `power`: with the whole machine. */
  dieAfter(operations: number, death: "kill" | "power"): void;
}

export interface MediumOptions {
  readonly random: Random;
  /** Runs the work later: an asynchronous call is on its way until then. */
  readonly schedule: (work: () => void) => void;
  /** How often a write takes only part of what it is given. */
  readonly shortWriteChance?: number;
  readonly capacityBytes?: number;
  /** How often a power failure shows, where a file grew without a sync, what lay on the medium before. */
  readonly staleChance?: number;
}

export function createMemoryMedium(options: MediumOptions): MemoryMedium {
  return new Medium(options);
}

export class Medium implements MemoryMedium {
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
    for (const name of normalize(path).split("/").filter(Boolean)) node = node?.kind === "folder" ? node.names.get(name) : undefined;
    return node;
  }

  /** The folder of a path, and its name there. */
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

  /** One name or handle less. */
  let(node: MemoryNode | undefined): void {
    if (node?.kind !== "file") return;
    node.holders -= 1;
    if (node.holders > 0) return;
    this.usedBytes -= node.bytes.length;
    this.#stale = [Buffer.from(node.bytes), ...this.#stale].slice(0, STALE_COUNT);
  }

  /** The failure that hits this operation, once counted. */
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
