import type { QueueClient, QueueServiceClient } from "@azure/storage-queue";
import { QUEUE_DELAY_MAX_MS, STORE_WRITE_MS } from "../replication/limits.ts";
import { ALERTS_QUEUE, HINTS_QUEUE, RESTORES_QUEUE } from "../replication/names.ts";
import type { WorkMessage, WorkQueue } from "../replication/operations/work-queue.ts";
import { isMissing, writing } from "./errors.ts";

/** Sends work as base64 of its JSON text, which is what the Functions host expects (`messageEncoding` of host.json). */
export function openWorkQueue(queues: QueueServiceClient): WorkQueue {
  return {
    send: async (message, delayMs) => {
      const queue = queues.getQueueClient(queueOf(message));
      const visibilityTimeout = Math.ceil(Math.min(Math.max(delayMs, 0), QUEUE_DELAY_MAX_MS) / 1000);
      await writing("send message", { queue: queue.name, message: message.kind }, STORE_WRITE_MS, (abortSignal) =>
        inQueue(queue, abortSignal, () =>
          queue.sendMessage(encodeMessage(message), { abortSignal, visibilityTimeout }),
        ),
      );
    },
  };
}

/** The text of a queue message. */
export function encodeMessage(message: WorkMessage): string {
  return Buffer.from(JSON.stringify(message), "utf8").toString("base64");
}

function queueOf(message: WorkMessage): string {
  switch (message.kind) {
    case "hint":
      return HINTS_QUEUE;
    case "restore":
      return RESTORES_QUEUE;
    case "alert":
      return ALERTS_QUEUE;
  }
}

/** The first message makes the queue. */
async function inQueue<Result>(
  queue: QueueClient,
  abortSignal: AbortSignal,
  send: () => Promise<Result>,
): Promise<Result> {
  try {
    return await send();
  } catch (error) {
    if (!isMissing(error)) throw error;
    await queue.createIfNotExists({ abortSignal });
    return send();
  }
}
