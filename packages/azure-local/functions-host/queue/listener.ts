import { type QueueClient, RestError } from "@azure/storage-queue";
import { FUNCTIONS_MESSAGE_INVISIBLE_MS, FUNCTIONS_POLL_MIN_MS } from "../../limits.ts";
import type { HostFunction } from "../host-function.ts";
import type { TriggerContext, TriggerListener } from "../trigger.ts";
import { decodeMessage, describeMessage, disposalOf, pollDelayMs, type ReceivedMessage } from "./message.ts";

export interface QueueListenerOptions {
  readonly hostFunction: HostFunction;
  readonly context: TriggerContext;
  readonly queue: QueueClient;
  readonly poisonQueue: QueueClient | undefined;
}

const INVISIBLE_SECONDS = FUNCTIONS_MESSAGE_INVISIBLE_MS / 1000;
const RENEWAL_MS = FUNCTIONS_MESSAGE_INVISIBLE_MS / 2;
/** After a failed renewal the next one comes sooner, but not before this (the real host's minimum). */
const RENEWAL_MIN_MS = 60_000;

/** Takes batches of messages from one queue and runs the function for each, like the real host's storage extension. */
export function createQueueListener(options: QueueListenerOptions): TriggerListener {
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  return {
    async start() {
      await giveBack(options);
      loop = poll(options, stopping.signal);
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}

/** Gives back a dead worker's messages: their runs have failed. */
async function giveBack(options: QueueListenerOptions): Promise<void> {
  const { queue, context } = options;
  const pauseSeconds = Math.round(context.configuration.queues.visibilityTimeoutMs / 1000);
  for (const { messageId, popReceipt } of context.inWork.left(queue.url)) {
    note(
      options,
      "warning",
      `Message ${messageId} of queue ${queue.name} was in work when the worker died; it is visible again.`,
    );
    await unlessGone(queue.updateMessage(messageId, popReceipt, undefined, pauseSeconds)).catch((error: unknown) => {
      // It returns when its invisibility ends.
      note(options, "warning", `Message ${messageId} could not be made visible: ${describe(error)}`);
    });
  }
}

async function poll(options: QueueListenerOptions, signal: AbortSignal): Promise<void> {
  const { clock, random, configuration } = options.context;
  const { batchSize, newBatchThreshold, maxPollingIntervalMs } = configuration.queues;
  const running = new Set<Promise<void>>();
  let wake = (): void => undefined;
  signal.addEventListener("abort", () => wake(), { once: true });
  let emptyPolls = 0;
  let queueExists = false;
  while (!signal.aborted) {
    let batch: readonly ReceivedMessage[] = [];
    try {
      if (!queueExists) await options.queue.createIfNotExists();
      queueExists = true;
      const received = await options.queue.receiveMessages({
        numberOfMessages: batchSize,
        visibilityTimeout: INVISIBLE_SECONDS,
      });
      batch = received.receivedMessageItems;
    } catch (error) {
      // The queue was deleted or the store is unreachable: poll again while the host runs.
      queueExists = false;
      note(options, "warning", `Looking into queue ${options.queue.name} failed: ${describe(error)}`);
    }
    if (batch.length === 0) {
      emptyPolls += 1;
      await clock.sleep(pollDelayMs(emptyPolls, FUNCTIONS_POLL_MIN_MS, maxPollingIntervalMs, random()), signal);
      continue;
    }
    emptyPolls = 0;
    for (const message of batch) {
      const work = handle(options, message, signal).finally(() => {
        running.delete(work);
        wake();
      });
      running.add(work);
    }
    while (running.size > newBatchThreshold && !signal.aborted) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  await Promise.all(running);
}

/** One message from receipt to disposal; never rejects. */
async function handle(options: QueueListenerOptions, message: ReceivedMessage, signal: AbortSignal): Promise<void> {
  const { queues } = options.context.configuration;
  try {
    if (signal.aborted) {
      // Received while the host was stopping: another host may have it at once.
      await options.queue.updateMessage(message.messageId, message.popReceipt, undefined, 0);
      return;
    }
    const text = decodeMessage(message.messageText, queues.messageEncoding);
    if (text === undefined) {
      note(
        options,
        "warning",
        `Message ${message.messageId} is not ${queues.messageEncoding}; check messageEncoding in host.json.`,
      );
      await moveToPoison(options, message, message.popReceipt);
    } else if (message.dequeueCount > queues.maxDequeueCount) {
      await moveToPoison(options, message, message.popReceipt);
    } else {
      await runMessage(options, message, text);
    }
  } catch (error) {
    // The message returns when its invisibility ends: nothing is lost.
    note(options, "error", `Message ${message.messageId} of queue ${options.queue.name} was left: ${describe(error)}`);
  }
}

async function runMessage(options: QueueListenerOptions, message: ReceivedMessage, text: string): Promise<void> {
  const { context, hostFunction, queue, poisonQueue } = options;
  const { maxDequeueCount, visibilityTimeoutMs } = context.configuration.queues;
  const { messageId } = message;
  context.inWork.put({ queue: queue.url, messageId, popReceipt: message.popReceipt });
  const renewal = renew(options, message);
  const outcome = await context.invoke(hostFunction, {
    data: { string: text },
    metadata: describeMessage(message, text),
  });
  const popReceipt = await renewal.end();
  context.inWork.remove(messageId);
  switch (disposalOf(outcome.kind === "succeeded", message.dequeueCount, maxDequeueCount, poisonQueue !== undefined)) {
    case "delete":
      return await unlessGone(queue.deleteMessage(message.messageId, popReceipt));
    case "release":
      return await unlessGone(
        queue.updateMessage(message.messageId, popReceipt, undefined, Math.round(visibilityTimeoutMs / 1000)),
      );
    case "poison":
      return await moveToPoison(options, message, popReceipt);
    case "leave":
      return;
  }
}

/** Keeps a message invisible while its function runs; `end` returns the last valid receipt. */
function renew(options: QueueListenerOptions, message: ReceivedMessage): { end(): Promise<string> } {
  const { clock } = options.context;
  const ended = new AbortController();
  const loop = async (): Promise<string> => {
    let popReceipt = message.popReceipt;
    let pauseMs = RENEWAL_MS;
    for (;;) {
      await clock.sleep(pauseMs, ended.signal);
      if (ended.signal.aborted) return popReceipt;
      try {
        const renewed = await options.queue.updateMessage(message.messageId, popReceipt, undefined, INVISIBLE_SECONDS);
        popReceipt = renewed.popReceipt ?? popReceipt;
        options.context.inWork.put({ queue: options.queue.url, messageId: message.messageId, popReceipt });
        pauseMs = RENEWAL_MS;
      } catch (error) {
        if (isGone(error)) return popReceipt;
        note(options, "warning", `Message ${message.messageId} could not be kept invisible: ${describe(error)}`);
        pauseMs = Math.max(RENEWAL_MIN_MS, pauseMs / 2);
      }
    }
  };
  const receipt = loop();
  return {
    end() {
      ended.abort();
      return receipt;
    },
  };
}

/** Copies the message as stored, then deletes it: a kill in between leaves two, never none. */
async function moveToPoison(
  options: QueueListenerOptions,
  message: ReceivedMessage,
  popReceipt: string,
): Promise<void> {
  const { queue, poisonQueue, context } = options;
  if (poisonQueue === undefined) return;
  const limit = context.configuration.queues.maxDequeueCount;
  note(
    options,
    "warning",
    `Message ${message.messageId} goes to queue ${poisonQueue.name} (MaxDequeueCount is ${limit}).`,
  );
  await poisonQueue.createIfNotExists();
  await poisonQueue.sendMessage(message.messageText);
  await unlessGone(queue.deleteMessage(message.messageId, popReceipt));
}

/** Another host has the message, or it is gone: nothing is left to do. */
async function unlessGone(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  if (!(error instanceof RestError)) return false;
  return error.statusCode === 404 || error.code === "PopReceiptMismatch" || error.code === "MessageNotFound";
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function note({ context, hostFunction }: QueueListenerOptions, level: "warning" | "error", message: string): void {
  context.log({ level, event: "queue", message, function: hostFunction.name });
}
