import { join } from "node:path";
import { LocalError } from "../errors.ts";
import type { Reachability } from "../reachability.ts";
import { loadAzurite, type Azurite, type StorageService } from "./azurite-modules.ts";
import { type MendName, holdMends } from "./mends/mends.ts";
import type { StorageOperation } from "./operation.ts";
import { checkPort, startServer, type RunningServer } from "./server.ts";
import type { PageBlobThrottle } from "./throttle.ts";

/**
 * Starts one blob and one queue server per account, on the loopback address, each pair with its own folder and key: an
 * account stands for a region and can be made unreachable alone. Errors: `port-in-use` names the option,
 * `configuration-invalid` the account.
 */
export async function startStorage(options: LocalStorageOptions): Promise<LocalStorage> {
  checkAccounts(options.accounts);
  const services = options.accounts.flatMap((account) => [
    { service: "blob" as const, account: account.name, port: account.blobPort },
    { service: "queue" as const, account: account.name, port: account.queuePort },
  ]);
  for (const service of services) await checkPort(service);
  const azurite = loadAzurite();
  const releaseMends = holdMends(azurite, options.leaveOut ?? []);
  const running: StartedAccount[] = [];
  const listeners = new Set<(operation: StorageOperation) => void>();
  const counts = new Map<string, Map<string, number>>(options.accounts.map((account) => [account.name, new Map()]));
  const close = async (): Promise<void> => {
    const servers = running.splice(0).flatMap((account) => [account.blob, account.queue]);
    const closings = await Promise.allSettled(servers.map((server) => server.close()));
    releaseMends();
    for (const closing of closings) if (closing.status === "rejected") throw closing.reason;
  };
  const report = (operation: StorageOperation): void => {
    const count = counts.get(operation.account);
    count?.set(operation.operation, (count.get(operation.operation) ?? 0) + 1);
    for (const listener of listeners) listener(operation);
  };
  try {
    for (const account of options.accounts) running.push(await startAccount(azurite, options, account, report));
  } catch (error) {
    await close();
    throw error;
  }
  const facts = running.map((account) => account.facts);
  const find = <T>(name: string, value: T | undefined): T => {
    if (value === undefined)
      throw new LocalError("internal", `There is no storage account ${name} here.`, { account: name });
    return value;
  };
  const started = (name: string): StartedAccount =>
    find(
      name,
      running.find((candidate) => candidate.facts.name === name),
    );
  return {
    accounts: facts,
    account: (name) =>
      find(
        name,
        facts.find((account) => account.name === name),
      ),
    observe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    operationCounts: (name) => find(name, counts.get(name)),
    setReachable: (name, reachable) => {
      const { blob, queue } = started(name);
      blob.gate.setReachable(reachable);
      queue.gate.setReachable(reachable);
    },
    throttlePageBlobs: (name, throttle) => started(name).blob.throttle(throttle),
    close,
  };
}

interface LocalAccount {
  /** 3 to 24 lower-case letters and digits. */
  readonly name: string;
  /** For display: the account's region on Azure. */
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
  /** Mends to omit: only the contract tests use it, to show that unmended Azurite fails each of them. */
  readonly leaveOut?: readonly (MendName | "durability")[];
  /** The minimum growth of a redo log before its database is rewritten; only tests use less than the default. */
  readonly redoLogMinBytes?: number;
}

interface RunningAccount {
  readonly name: string;
  readonly region: string;
  readonly blobUrl: string;
  readonly queueUrl: string;
  readonly key: string;
  readonly connectionString: string;
}

export interface LocalStorage {
  readonly accounts: readonly RunningAccount[];
  /** Throws `internal` for a name not running here; so do the other methods that take a name. */
  account(name: string): RunningAccount;
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
  /**
   * From now on each page blob of the account has its own limits and answers 503 `ServerBusy` beyond them; undefined
   * removes them. `{}` are Azure's. Refused requests count as the operation "Throttled".
   */
  throttlePageBlobs(account: string, throttle: PageBlobThrottle | undefined): void;
  /** Finishes requests under way, saves and stops. Throws, once everything is stopped, when an answer was withheld. */
  close(): Promise<void>;
}

interface StartedAccount {
  readonly facts: RunningAccount;
  readonly blob: RunningServer;
  readonly queue: RunningServer;
}

async function startAccount(
  azurite: Azurite,
  options: LocalStorageOptions,
  account: LocalAccount,
  report: (operation: StorageOperation) => void,
): Promise<StartedAccount> {
  const key = options.key(account.name);
  const start = (service: StorageService, port: number): Promise<RunningServer> =>
    startServer(
      azurite,
      {
        service,
        account: account.name,
        key,
        port,
        folder: join(options.folder, account.name, service),
        persistence: options.persistence,
        durable: options.leaveOut?.includes("durability") !== true,
        redoLogMinBytes: options.redoLogMinBytes,
      },
      report,
    );
  const blob = await start("blob", account.blobPort);
  const queue = await start("queue", account.queuePort).catch(async (error: unknown) => {
    await blob.close();
    throw error;
  });
  const connectionString = [
    "DefaultEndpointsProtocol=http",
    `AccountName=${account.name}`,
    `AccountKey=${key}`,
    `BlobEndpoint=${blob.url}`,
    `QueueEndpoint=${queue.url}`,
  ].join(";");
  return {
    facts: {
      name: account.name,
      region: account.region,
      blobUrl: blob.url,
      queueUrl: queue.url,
      key,
      connectionString,
    },
    blob,
    queue,
  };
}

function checkAccounts(accounts: readonly LocalAccount[]): void {
  const names = new Set<string>();
  for (const { name } of accounts) {
    if (!/^[a-z0-9]{3,24}$/.test(name) || names.has(name)) {
      throw new LocalError("configuration-invalid", `"${name}" is no storage account name, or stands there twice.`, {
        account: name,
      });
    }
    names.add(name);
  }
}
