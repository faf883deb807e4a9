import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Reachability } from "../reachability.ts";
import { OPEN_ACCESS, type AccountAccess, type RoleCheck } from "./admission.ts";
import type { Azurite, StorageService } from "./azurite-modules.ts";
import type { StorageOperation } from "./operation.ts";
import { startServer, type AccountState, type RunningServer } from "./server.ts";
import type { PageBlobThrottle } from "./throttle.ts";

/** Base64. Azure's accounts have two. */
export type AccountKeys = readonly [string, string | undefined];

export interface AccountStart {
  /** 3 to 24 lower-case letters and digits. */
  readonly name: string;
  readonly region: string;
  /** 0 takes a free port. */
  readonly blobPort: number;
  readonly queuePort: number;
  readonly keys: AccountKeys;
}

/** What all accounts of a storage share. */
export interface AccountOptions {
  /** Holds one folder per account. */
  readonly folder: string;
  readonly persistence: "disk" | "memory";
  readonly durable: boolean;
  readonly redoLogMinBytes?: number | undefined;
  /** Of bearer tokens. */
  readonly secret: string;
  readonly checkRole: () => RoleCheck | undefined;
}

/** An account as its clients know it. */
export interface RunningAccount {
  readonly name: string;
  readonly region: string;
  readonly blobUrl: string;
  readonly queueUrl: string;
  /** The first of its keys. */
  readonly key: string;
  readonly connectionString: string;
}

export interface StartedAccount {
  facts(): RunningAccount;
  setKeys(keys: AccountKeys): void;
  setAccess(access: AccountAccess): void;
  setReachable(reachable: Reachability): void;
  throttlePageBlobs(throttle: PageBlobThrottle | undefined): void;
  close(): Promise<void>;
  /** After `close`. */
  removeFiles(): Promise<void>;
}

/** Starts one blob and one queue server, in the account's own folder. Throws `port-in-use`. */
export async function startAccount(
  azurite: Azurite,
  options: AccountOptions,
  account: AccountStart,
  report: (operation: StorageOperation) => void,
): Promise<StartedAccount> {
  const { name, region } = account;
  const state: AccountState = { keys: account.keys, access: OPEN_ACCESS };
  const { folder, ...shared } = options;
  const start = (service: StorageService, port: number): Promise<RunningServer> =>
    startServer(
      azurite,
      { ...shared, service, account: name, state, port, folder: join(folder, name, service) },
      report,
    );
  const blob = await start("blob", account.blobPort);
  const queue = await start("queue", account.queuePort).catch(async (error: unknown) => {
    await blob.close();
    throw error;
  });
  const servers = [blob, queue];
  return {
    facts: () => ({
      name,
      region,
      blobUrl: blob.url,
      queueUrl: queue.url,
      key: state.keys[0],
      connectionString: [
        "DefaultEndpointsProtocol=http",
        `AccountName=${name}`,
        `AccountKey=${state.keys[0]}`,
        `BlobEndpoint=${blob.url}`,
        `QueueEndpoint=${queue.url}`,
      ].join(";"),
    }),
    setKeys: (keys) => {
      state.keys = keys;
      for (const server of servers) server.refreshKeys();
    },
    setAccess: (access) => void (state.access = access),
    setReachable: (reachable) => {
      for (const { gate } of servers) gate.setReachable(reachable);
    },
    throttlePageBlobs: (throttle) => blob.throttle(throttle),
    close: async () => {
      const closings = await Promise.allSettled(servers.map((server) => server.close()));
      for (const closing of closings) if (closing.status === "rejected") throw closing.reason;
    },
    removeFiles: () => rm(join(folder, name), { recursive: true, force: true }),
  };
}
