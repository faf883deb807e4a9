import { randomBytes } from "node:crypto";
import type { Reachability } from "../reachability.ts";
import { startAccount, type AccountKeys, type AccountOptions, type RunningAccount } from "./account.ts";
import { checkNames, createAccounts, type AddedAccount } from "./accounts.ts";
import type { AccountAccess, RoleCheck } from "./admission.ts";
import { loadAzurite } from "./azurite-modules.ts";
import { bearerOf, type Identity } from "./identity.ts";
import { type MendName, holdMends } from "./mends/mends.ts";
import type { StorageOperation } from "./operation.ts";
import { checkPort } from "./ports.ts";
import type { PageBlobThrottle } from "./throttle.ts";

/**
 * Starts one blob and one queue server per account, on the loopback address, each pair with its own folder and keys.
 * Accounts come and go while it runs; an account alone, or all of a region, can be made unreachable. Errors:
 * `port-in-use` names the option, `configuration-invalid` the account.
 */
export async function startStorage(options: LocalStorageOptions): Promise<LocalStorage> {
  checkNames(options.accounts.map(({ name }) => name));
  for (const { name, blobPort, queuePort } of options.accounts) {
    await checkPort({ service: "blob", account: name, port: blobPort });
    await checkPort({ service: "queue", account: name, port: queuePort });
  }
  const azurite = loadAzurite();
  const releaseMends = holdMends(azurite, options.leaveOut ?? []);
  const secret = options.token ?? randomBytes(32).toString("base64url");
  const listeners = new Set<(operation: StorageOperation) => void>();
  const counts = new Map<string, Map<string, number>>();
  let checkRole: RoleCheck | undefined;
  const shared: AccountOptions = {
    folder: options.folder,
    persistence: options.persistence,
    durable: options.leaveOut?.includes("durability") !== true,
    redoLogMinBytes: options.redoLogMinBytes,
    secret,
    checkRole: () => checkRole,
  };
  const report = (operation: StorageOperation): void => {
    const count = counts.get(operation.account);
    count?.set(operation.operation, (count.get(operation.operation) ?? 0) + 1);
    for (const listener of listeners) listener(operation);
  };
  const accounts = createAccounts(options.madeFromPort, (account) => {
    counts.set(account.name, new Map());
    return startAccount(azurite, shared, account, report);
  });
  const close = (): Promise<void> => accounts.close().finally(releaseMends);
  try {
    for (const account of options.accounts)
      await accounts.add({ ...account, keys: [options.key(account.name), undefined] });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    get accounts() {
      return accounts.all();
    },
    account: (name) => accounts.running(name).facts(),
    find: (name) => accounts.all().find((account) => account.name === name),
    accountsIn: (region) => accounts.all().filter((account) => account.region === region),
    addAccount: (account) => accounts.addOnFreePorts(account),
    removeAccount: (name) => accounts.remove(name),
    setKeys: (name, keys) => accounts.running(name).setKeys(keys),
    setAccess: (name, access) => accounts.running(name).setAccess(access),
    checkRoles: (check) => void (checkRole = check),
    bearer: (identity = { kind: "app" }) => bearerOf(secret, identity),
    observe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    operationCounts: (name) => counts.get(accounts.running(name).facts().name) ?? new Map(),
    setReachable: (name, reachable) => accounts.running(name).setReachable(reachable),
    setRegionReachable: (region, reachable) => accounts.setRegionReachable(region, reachable),
    throttlePageBlobs: (name, throttle) => accounts.running(name).throttlePageBlobs(throttle),
    close,
  };
}

interface LocalAccount {
  /** 3 to 24 lower-case letters and digits. */
  readonly name: string;
  readonly region: string;
  /** 0 takes a free port. */
  readonly blobPort: number;
  readonly queuePort: number;
}

export interface LocalStorageOptions {
  /** Holds one folder per account. */
  readonly folder: string;
  /** With "disk", a kill of the process at any moment loses nothing already answered (loss of power is not covered). */
  readonly persistence: "disk" | "memory";
  readonly accounts: readonly LocalAccount[];
  /** The account key, base64. */
  readonly key: (account: string) => string;
  /** The bearer token of the app; a random one by default. */
  readonly token?: string;
  /** Accounts made later get the next free ten of ports from here on; any free ports by default. */
  readonly madeFromPort?: number;
  /** Mends to omit: only the contract tests use it, to show that unmended Azurite fails each of them. */
  readonly leaveOut?: readonly (MendName | "durability")[];
  /** The minimum growth of a redo log before its database is rewritten; only tests use less than the default. */
  readonly redoLogMinBytes?: number;
}

export interface LocalStorage {
  /** Those that run now. */
  readonly accounts: readonly RunningAccount[];
  /** Throws `internal` for a name not running here; so do the other methods that take a name. */
  account(name: string): RunningAccount;
  find(name: string): RunningAccount | undefined;
  accountsIn(region: string): readonly RunningAccount[];
  /** Starts an account, on what its folder holds. Its region's power decides whether it answers. */
  addAccount(account: AddedAccount): Promise<RunningAccount>;
  /** Stops the account at once and removes all that it held; the name is free when the promise settles. */
  removeAccount(name: string): Promise<void>;
  setKeys(name: string, keys: AccountKeys): void;
  /** Whom the account lets in; by default everybody whom Azurite does. */
  setAccess(name: string, access: AccountAccess): void;
  /** From now on each bearer token needs a role; undefined: none does. */
  checkRoles(check: RoleCheck | undefined): void;
  /** The bearer token of an identity; by default the app's. */
  bearer(identity?: Identity): string;
  /**
   * Calls `listener` synchronously for every operation, even failed ones, after it takes effect and before its answer
   * is sent. If a listener throws, the connection is cut instead of answered, and `close` throws its error. The
   * returned function ends it.
   */
  observe(listener: (operation: StorageOperation) => void): () => void;
  /** Operations answered since the start, by Azurite's name of the operation. */
  operationCounts(account: string): ReadonlyMap<string, number>;
  /**
   * Makes the account unreachable, like a lost region, until true. False cuts connections and refuses new ones; "hangs"
   * never answers them.
   */
  setReachable(account: string, reachable: Reachability): void;
  /** The same for every account of the region, those made later included. */
  setRegionReachable(region: string, reachable: Reachability): void;
  /**
   * From now on each page blob of the account has its own limits and answers 503 `ServerBusy` beyond them; undefined
   * removes them. `{}` are Azure's. Refused requests count as the operation "Throttled".
   */
  throttlePageBlobs(account: string, throttle: PageBlobThrottle | undefined): void;
  /** Finishes requests under way, saves and stops. Throws, once everything is stopped, when an answer was withheld. */
  close(): Promise<void>;
}
