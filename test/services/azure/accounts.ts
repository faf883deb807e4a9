import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalStorage, startStorage } from "@leeward/azure-local/storage";
import { type Accounts, onePair } from "../../../azure/accounts.ts";
import { type BlobAccount, connectBlobs } from "../../../azure/connections.ts";

export interface TestAccounts {
  readonly storage: LocalStorage;
  readonly cache: BlobAccount;
  readonly target: BlobAccount;
  /** The target account is the control account too. */
  readonly all: Accounts;
  readonly connectionStrings: { readonly cache: string; readonly target: string };
  close(): Promise<void>;
}

/** A cache and a target account of the local cloud, empty, in memory. */
export async function startAccounts(): Promise<TestAccounts> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-accounts-"));
  const key = randomBytes(64).toString("base64");
  const storage = await startStorage({
    folder,
    persistence: "memory",
    key: () => key,
    accounts: [
      { name: "leewardcachewe", region: "westeurope", blobPort: 0, queuePort: 0 },
      { name: "leewardtargetne", region: "northeurope", blobPort: 0, queuePort: 0 },
    ],
  });
  const connectionStrings = {
    cache: storage.account("leewardcachewe").connectionString,
    target: storage.account("leewardtargetne").connectionString,
  };
  const connect = (connectionString: string): BlobAccount =>
    connectBlobs("TestStorage", { kind: "connection-string", connectionString });
  const cache = connect(connectionStrings.cache);
  const target = connect(connectionStrings.target);
  return {
    storage,
    connectionStrings,
    cache,
    target,
    all: onePair(target, cache, target),
    close: async () => {
      await storage.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** An item id of its own for each test. */
export const newItemId = (): string => `vm-${randomBytes(6).toString("hex")}`;
