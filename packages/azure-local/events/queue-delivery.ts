import { QueueServiceClient } from "@azure/storage-queue";
import { EVENT_DELIVERY_TIMEOUT_MS } from "../limits.ts";
import type { LocalStorage } from "../storage/storage.ts";

/**
 * Delivers into storage queues as Event Grid does: one event a message, its JSON in base64. Creates a missing queue
 * (Azure fails until it exists).
 */
export function queueDelivery(
  storage: LocalStorage,
): (delivery: { readonly account: string; readonly queue: string; readonly event: object }) => Promise<void> {
  const services = new Map(
    storage.accounts.map((account) => [
      account.name,
      // The event grid retries itself.
      QueueServiceClient.fromConnectionString(account.connectionString, { retryOptions: { maxTries: 1 } }),
    ]),
  );
  return async ({ account, queue, event }) => {
    const client = services.get(account)?.getQueueClient(queue);
    if (client === undefined) throw new Error(`There is no account ${account} any more.`);
    const abortSignal = AbortSignal.timeout(EVENT_DELIVERY_TIMEOUT_MS);
    const text = Buffer.from(JSON.stringify(event)).toString("base64");
    try {
      await client.sendMessage(text, { abortSignal });
    } catch (error) {
      if (!isQueueMissing(error)) throw error;
      await client.createIfNotExists({ abortSignal });
      await client.sendMessage(text, { abortSignal });
    }
  };
}

function isQueueMissing(error: unknown): boolean {
  return error instanceof Error && "statusCode" in error && error.statusCode === 404;
}
