import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { onePair } from "../azure/accounts.ts";
import { connectBlobs } from "../azure/connections.ts";
import { openItemStores } from "../azure/item-stores.ts";
import type { ItemStores } from "../replication/ports.ts";

/** Real stores, cache and target in a process each, and the product's adapters to them. */
export interface BenchStore {
  readonly stores: ItemStores;
  /** How often each operation ran so far in both accounts, by Azurite's names. */
  counts(): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

export async function startBenchStore(): Promise<BenchStore> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-bench-"));
  const accounts = [await startAccount("benchcache", folder), await startAccount("benchtarget", folder)] as const;
  const [cache, target] = accounts.map(({ connectionString }) =>
    connectBlobs("benchmark", { kind: "connection-string", connectionString }),
  );
  if (cache === undefined || target === undefined) throw new Error("two accounts were started");
  return {
    stores: openItemStores(onePair(target, cache, target), { now: Date.now }),
    async counts() {
      const sums = new Map<string, number>();
      for (const account of accounts) {
        for (const [operation, count] of await account.counts())
          sums.set(operation, (sums.get(operation) ?? 0) + count);
      }
      return sums;
    },
    async close() {
      for (const account of accounts) await account.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Account {
  readonly connectionString: string;
  counts(): Promise<readonly (readonly [string, number])[]>;
  close(): Promise<void>;
}

async function startAccount(name: string, folder: string): Promise<Account> {
  // Runs from the sources and from the build.
  const child = fork(join(import.meta.dirname, `storage-process${extname(import.meta.filename)}`), [
    name,
    join(folder, name),
  ]);
  const [ready] = (await once(child, "message")) as [Pick<Account, "connectionString">];
  return {
    ...ready,
    counts: async () => {
      child.send({});
      const [answer] = (await once(child, "message")) as [{ readonly counts: readonly (readonly [string, number])[] }];
      return answer.counts;
    },
    close: async () => {
      const ended = once(child, "exit");
      child.disconnect();
      await ended;
    },
  };
}
