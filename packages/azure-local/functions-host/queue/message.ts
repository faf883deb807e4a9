import type { TypedData } from "../rpc.ts";

/** A message as the queue gives it out. */
export interface ReceivedMessage {
  readonly messageId: string;
  readonly popReceipt: string;
  /** As stored, still encoded. */
  readonly messageText: string;
  readonly dequeueCount: number;
  readonly insertedOn: Date;
  readonly expiresOn: Date;
  readonly nextVisibleOn: Date;
}

/** The text of a message under host.json `messageEncoding`; undefined when it should be base64 but is not. */
export function decodeMessage(stored: string, encoding: "base64" | "none"): string | undefined {
  if (encoding === "none") return stored;
  const compact = stored.replaceAll(/\s/g, "");
  // Node's decoder skips invalid base64, .NET's refuses it; so does this host.
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) return undefined;
  return Buffer.from(compact, "base64").toString("utf8");
}

/** What the function sees beside the text. */
export function describeMessage(message: ReceivedMessage, text: string): Readonly<Record<string, TypedData>> {
  const json = (value: unknown): TypedData => ({ json: JSON.stringify(value) });
  return {
    QueueTrigger: { string: text },
    Id: { string: message.messageId },
    PopReceipt: { string: message.popReceipt },
    DequeueCount: json(message.dequeueCount),
    InsertionTime: json(message.insertedOn.toISOString()),
    ExpirationTime: json(message.expiresOn.toISOString()),
    NextVisibleTime: json(message.nextVisibleOn.toISOString()),
  };
}

export type Disposal = "delete" | "poison" | "release" | "leave";

/**
 * What happens to a message after a run. Without a poison queue a failed message stays invisible, lest it return again
 * and again.
 */
export function disposalOf(
  succeeded: boolean,
  dequeueCount: number,
  maxDequeueCount: number,
  hasPoisonQueue: boolean,
): Disposal {
  if (succeeded) return "delete";
  if (!hasPoisonQueue) return "leave";
  return dequeueCount >= maxDequeueCount ? "poison" : "release";
}

/**
 * The poison queue of a queue; undefined for a poison queue itself and where the name would be longer than a queue's 63
 * characters.
 */
export function poisonQueueName(queueName: string): string | undefined {
  if (queueName.endsWith("-poison")) return undefined;
  const name = `${queueName}-poison`;
  return name.length <= 63 ? name : undefined;
}

/**
 * The pause before polling an empty queue again: doubles from `minMs` up to `maxMs`, with jitter of a fifth either way.
 */
export function pollDelayMs(emptyPolls: number, minMs: number, maxMs: number, random: number): number {
  const doubledMs = minMs * 2 ** Math.min(emptyPolls - 1, 30);
  return Math.round(Math.min(maxMs, doubledMs * (0.8 + 0.4 * random)));
}
