import { LocalError } from "../errors.ts";
import type { Reachability } from "../reachability.ts";
import type { AccountStart, RunningAccount, StartedAccount } from "./account.ts";
import { freePorts } from "./ports.ts";

/** An account made while the storage runs. Without ports it gets free ones. */
export type AddedAccount = Omit<AccountStart, "blobPort" | "queuePort"> &
  Partial<Pick<AccountStart, "blobPort" | "queuePort">>;

/** The accounts that run, and the power of their regions. */
export interface Accounts {
  all(): readonly RunningAccount[];
  /** Throws `internal` for a name not running. */
  running(name: string): StartedAccount;
  add(account: AccountStart): Promise<RunningAccount>;
  addOnFreePorts(account: AddedAccount): Promise<RunningAccount>;
  /** Stops it at once, and removes its files. */
  remove(name: string): Promise<void>;
  setRegionReachable(region: string, reachable: Reachability): void;
  close(): Promise<void>;
}

export function createAccounts(
  madeFromPort: number | undefined,
  start: (account: AccountStart) => Promise<StartedAccount>,
): Accounts {
  const running = new Map<string, StartedAccount>();
  const leaving = new Map<string, Promise<void>>();
  const power = new Map<string, Reachability>();
  const all = (): readonly RunningAccount[] => [...running.values()].map((account) => account.facts());
  const add = async (account: AccountStart): Promise<RunningAccount> => {
    checkNames([account.name, ...running.keys()]);
    await leaving.get(account.name);
    const started = await start(account);
    const reachable = power.get(account.region);
    if (reachable !== undefined) started.setReachable(reachable);
    running.set(account.name, started);
    return started.facts();
  };
  return {
    all,
    running: (name) => {
      const account = running.get(name);
      if (account !== undefined) return account;
      throw new LocalError("internal", `There is no storage account ${name} here.`, { account: name });
    },
    add,
    addOnFreePorts: async ({ blobPort = 0, queuePort = 0, ...account }) => {
      const inUse = new Set(all().flatMap(({ blobUrl, queueUrl }) => [portOf(blobUrl), portOf(queueUrl)]));
      const ports = blobPort === 0 ? await freePorts(madeFromPort, inUse) : { blobPort, queuePort };
      return add({ ...account, ...ports });
    },
    remove: (name) => {
      const account = running.get(name);
      running.delete(name);
      const gone = Promise.resolve(account?.close())
        .then(() => account?.removeFiles())
        .finally(() => leaving.delete(name));
      leaving.set(name, gone);
      return gone;
    },
    setRegionReachable: (region, reachable) => {
      power.set(region, reachable);
      for (const account of running.values()) if (account.facts().region === region) account.setReachable(reachable);
    },
    close: async () => {
      const closing = [...running.values()].map((account) => account.close());
      running.clear();
      const closings = await Promise.allSettled([...closing, ...leaving.values()]);
      for (const each of closings) if (each.status === "rejected") throw each.reason;
    },
  };
}

/** Throws `configuration-invalid` for a name that is none, or that stands there twice. */
export function checkNames(names: readonly string[]): void {
  const bad = names.find((name, at) => !/^[a-z0-9]{3,24}$/.test(name) || names.indexOf(name) !== at);
  if (bad === undefined) return;
  const message = `"${bad}" is no storage account name, or stands there twice.`;
  throw new LocalError("configuration-invalid", message, { account: bad });
}

const portOf = (url: string): number => Number(new URL(url).port);
