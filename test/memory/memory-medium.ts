import type { Files } from "../../mobility/system/files.ts";
import type { Failure } from "./memory-failure.ts";
import type { Random } from "./random.ts";

/**
 * A disk in memory that models power failures: of every file the bytes of its last sync survive, and of later writes
 * any sectors or none; names not covered by a sync of their folder may be missing, old or back. All chance comes from
 * `random`, all time from `schedule`.
 */
export interface MemoryMedium {
  /** Capacity for all files together; changes at any time. */
  capacityBytes: number;
  readonly usedBytes: number;
  /** A separate process's view of the medium. */
  process(): MemoryProcess;
  /** Kills every process; unsynced data is lost, or not. */
  cutPower(): void;
  /** Fails matching calls until the returned function is called. */
  fail(failure: Failure): () => void;
  /** Makes all of it survive anything. */
  settle(): void;
  /** For tests, from outside: durable at once, with its parent folders. */
  put(path: string, bytes: Uint8Array): void;
  get(path: string): Buffer | undefined;
  /** All paths of files. */
  paths(): readonly string[];
}

export interface MemoryProcess {
  readonly files: Files;
  readonly isAlive: boolean;
  /** Of the files not yet closed. */
  readonly openPaths: readonly string[];
  /** Completed writes stay; of unanswered calls any part may have been done. */
  kill(): void;
  /**
   * Kills it in the middle of its nth operation from now on that changes or syncs something; `power`: with the whole
   * machine.
   */
  dieAfter(operations: number, death: "kill" | "power"): void;
}

export interface MediumOptions {
  readonly random: Random;
  /** Runs the work later: until then an asynchronous call is in flight. */
  readonly schedule: (work: () => void) => void;
  /** How often a write takes only part of its bytes. */
  readonly shortWriteChance?: number;
  readonly capacityBytes?: number;
  /** How often a power failure exposes old content where a file grew without a sync. */
  readonly staleChance?: number;
}
