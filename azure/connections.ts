import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { QueueServiceClient } from "@azure/storage-queue";
import { LeewardError } from "../replication/errors.ts";
import { STORE_RETRY_DELAY_MS, STORE_RETRY_MAX_DELAY_MS, STORE_TRIES } from "../replication/limits.ts";
import { defaultCredential } from "./credential.ts";

/** How to reach one storage account. */
export type AccountAddress =
  | { readonly kind: "connection-string"; readonly connectionString: string }
  | { readonly kind: "identity"; readonly blobServiceUri: string; readonly queueServiceUri?: string | undefined };

/**
 * One account, through two clients. `retrying` repeats requests that may safely land twice: reads, idempotent writes.
 * `once` sends once: a repeated compare-and-set would be refused because of its own first landing, and a page write
 * that lands late must not be doubled (rule 3).
 */
export interface BlobAccount {
  readonly retrying: BlobServiceClient;
  readonly once: BlobServiceClient;
  /** What signs grants: the account key, or a user delegation key that the identity requests. */
  readonly signer: "account-key" | "identity";
}

const RETRYING = {
  retryOptions: {
    maxTries: STORE_TRIES,
    retryDelayInMs: STORE_RETRY_DELAY_MS,
    maxRetryDelayInMs: STORE_RETRY_MAX_DELAY_MS,
  },
};
const ONCE = { retryOptions: { maxTries: 1 } };

/** `setting` names the setting in the error `configuration-invalid`; its value is never shown. */
export function connectBlobs(setting: string, address: AccountAddress): BlobAccount {
  if (address.kind === "identity") {
    const credential = defaultCredential();
    return checked(setting, () => ({
      retrying: new BlobServiceClient(address.blobServiceUri, credential, RETRYING),
      once: new BlobServiceClient(address.blobServiceUri, credential, ONCE),
      signer: "identity",
    }));
  }
  const account = checked(setting, () => ({
    retrying: BlobServiceClient.fromConnectionString(address.connectionString, RETRYING),
    once: BlobServiceClient.fromConnectionString(address.connectionString, ONCE),
    signer: "account-key" as const,
  }));
  // Without the key no grant can be signed, and every address of a blob would carry the signature with it.
  if (!(account.retrying.credential instanceof StorageSharedKeyCredential)) {
    throw new LeewardError(
      "configuration-invalid",
      `${setting} must hold a connection string with an account key, not one with a SAS.`,
    );
  }
  return account;
}

/** The queues of an account. Sending a message twice is harmless, so the client retries. */
export function connectQueues(setting: string, address: AccountAddress): QueueServiceClient {
  if (address.kind === "connection-string") {
    return checked(setting, () => QueueServiceClient.fromConnectionString(address.connectionString, RETRYING));
  }
  const { queueServiceUri } = address;
  if (queueServiceUri === undefined) {
    throw new LeewardError("configuration-invalid", `${setting}__queueServiceUri is missing.`);
  }
  return checked(setting, () => new QueueServiceClient(queueServiceUri, defaultCredential(), RETRYING));
}

/** The SDK quotes the connection string in some of its errors, so their text is dropped. */
function checked<Client>(setting: string, connect: () => Client): Client {
  try {
    return connect();
  } catch {
    throw new LeewardError("configuration-invalid", `${setting} is not a valid connection string or service address.`);
  }
}
