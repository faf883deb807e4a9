import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectBlobs } from "../azure/connections.ts";
import { openItemStores } from "../azure/item-stores.ts";
import type { ItemStores } from "../replication/ports.ts";

/** A real store in a process of its own, and the product's adapters to it. */
export interface BenchStore {
  readonly stores: ItemStores;
  /** How often each operation has been done so far, by Azurite's names. */
  counts(): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

interface Ready {
  readonly kind: "ready";
  readonly cache: string;
  readonly target: string;
}
interface Counts {
  readonly kind: "counts";
  readonly counts: readonly (readonly [string, number])[];
}

export async function startBenchStore(): Promise<BenchStore> {
  const folder = mkdtempSync(join(tmpdir(), "leeward-bench-"));
  const child = fork(join(import.meta.dirname, `storage-process${import.meta.filename.endsWith(".ts") ? ".ts" : ".js"}`), [folder]);
  const next = async (): Promise<unknown> => (await once(child, "message"))[0];
  const ready = (await next()) as Ready;
  return {
    stores: openItemStores(
      connectBlobs("cache", { kind: "connection-string", connectionString: ready.cache }),
      connectBlobs("target", { kind: "connection-string", connectionString: ready.target }),
    ),
    async counts() {
      child.send({ kind: "count" });
      const answer = (await next()) as Counts;
      const sums = new Map<string, number>();
      for (const [operation, count] of answer.counts) sums.set(operation, (sums.get(operation) ?? 0) + count);
      return sums;
    },
    async close() {
      child.disconnect();
      await once(child, "exit");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
