import type { WorkMessage } from "../../replication/operations/work-queue.ts";
import type { Random } from "../memory/random.ts";
import type { Timeline } from "./timeline.ts";

/** A message as a receiver has it. */
interface ReceivedMessage {
  readonly body: unknown;
  readonly dequeueCount: number;
  /** Deletes the message, after it was handled. */
  remove(): void;
  /** After a failure: visible again after the delay, or in the poison queue after too many tries. */
  giveBack(delayMs: number): void;
}

/**
 * Storage queues: messages come at least once, nearly in order. A message whose receiver died is visible again when
 * its visibility timeout is over.
 */
export interface Queues {
  send(queue: QueueName, body: unknown, delayMs: number): void;
  /** The next visible message of the queue, hidden from others now. */
  receive(queue: QueueName): ReceivedMessage | undefined;
  /** Calls `sent` once: now when something lies in the queue, visible or not, else with the next message. */
  whenFilled(queue: QueueName, sent: () => void): void;
  /** Messages that no receiver could handle. */
  readonly poison: readonly { readonly queue: QueueName; readonly body: unknown }[];
}

export type QueueName = "hints" | "restores" | "alerts";

export const queueOf = (message: WorkMessage): QueueName =>
  message.kind === "hint" ? "hints" : message.kind === "restore" ? "restores" : "alerts";

/** The host hides a message for ten minutes, whatever the function's own limit (docs/azure-differences.md). */
const HIDDEN_MS = 10 * 60_000;
/** host.json: `maxDequeueCount`. */
const DEQUEUES_MAX = 5;

interface Message {
  readonly body: unknown;
  visibleMs: number;
  dequeueCount: number;
}

export function createQueues(timeline: Timeline, random: Random, repeatChance: () => number): Queues {
  const queues = new Map<QueueName, Message[]>();
  const waiting = new Map<QueueName, (() => void)[]>();
  const poison: { readonly queue: QueueName; readonly body: unknown }[] = [];
  const messagesOf = (queue: QueueName): Message[] => {
    const found = queues.get(queue) ?? [];
    queues.set(queue, found);
    return found;
  };
  return {
    poison,
    whenFilled: (queue, sent) => {
      if (messagesOf(queue).length > 0) return sent();
      waiting.set(queue, [...(waiting.get(queue) ?? []), sent]);
    },
    send: (queue, body, delayMs) => {
      // Through JSON, as in a real queue.
      const text = JSON.stringify(body);
      const copies = random.chance(repeatChance()) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) {
        messagesOf(queue).push({
          body: JSON.parse(text),
          visibleMs: timeline.now() + delayMs + copy * random.below(10_000),
          dequeueCount: 0,
        });
      }
      const heard = waiting.get(queue) ?? [];
      waiting.delete(queue);
      for (const sent of heard) sent();
    },
    receive: (queue) => {
      const messages = messagesOf(queue);
      const nowMs = timeline.now();
      const message = messages.find(({ visibleMs }) => visibleMs <= nowMs);
      if (message === undefined) return undefined;
      message.visibleMs = nowMs + HIDDEN_MS;
      message.dequeueCount += 1;
      const taken = message.dequeueCount;
      const remove = (): void => {
        const at = messages.indexOf(message);
        if (at >= 0) messages.splice(at, 1);
      };
      return {
        body: message.body,
        dequeueCount: taken,
        // The receipt is void once another receiver has taken the message.
        remove: () => {
          if (message.dequeueCount === taken) remove();
        },
        giveBack: (delayMs) => {
          if (message.dequeueCount !== taken) return;
          message.visibleMs = timeline.now() + delayMs;
          if (taken < DEQUEUES_MAX) return;
          remove();
          poison.push({ queue, body: message.body });
        },
      };
    },
  };
}
