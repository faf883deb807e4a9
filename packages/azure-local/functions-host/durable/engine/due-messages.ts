import { FUNCTIONS_TIMER_SLEEP_MAX_MS } from "../../../limits.ts";
import type { Clock } from "../../clock.ts";
import type { Message } from "../stores/store.ts";

/** Messages waiting until they are due. */
export interface DueMessages {
  add(message: Message & { readonly dueMs: number }): void;
  remove(ids: Iterable<number>): void;
  start(): void;
  stop(): Promise<void>;
}

/**
 * Hands out each message when it is due or soon after, earliest first. One loop sleeps until the next one, however many
 * there are.
 */
export function createDueMessages(clock: Clock, deliver: (message: Message) => void): DueMessages {
  const waiting = new Map<number, Message>();
  /** Sorted; an entry whose message was removed is skipped. */
  const order: { readonly dueMs: number; readonly id: number }[] = [];
  let isStopped = false;
  let sleep = new AbortController();
  let wakesAtMs = Number.POSITIVE_INFINITY;
  let loop = Promise.resolve();

  const run = async (): Promise<void> => {
    for (;;) {
      if (isStopped) return;
      handOut();
      const nextMs = order[0]?.dueMs ?? Number.POSITIVE_INFINITY;
      const nowMs = clock.nowMs();
      wakesAtMs = Math.min(nextMs, nowMs + FUNCTIONS_TIMER_SLEEP_MAX_MS);
      sleep = new AbortController();
      await clock.sleep(wakesAtMs - nowMs, sleep.signal);
    }
  };
  const handOut = (): void => {
    for (
      let first = order[0];
      first !== undefined && (first.dueMs <= clock.nowMs() || !waiting.has(first.id));
      first = order[0]
    ) {
      order.shift();
      const message = waiting.get(first.id);
      waiting.delete(first.id);
      if (message !== undefined) deliver(message);
    }
  };

  return {
    add(message) {
      waiting.set(message.id, message);
      order.splice(placeFor(order, message.dueMs), 0, { dueMs: message.dueMs, id: message.id });
      if (message.dueMs < wakesAtMs) sleep.abort();
    },
    remove(ids) {
      for (const id of ids) waiting.delete(id);
    },
    start() {
      loop = run();
    },
    async stop() {
      isStopped = true;
      sleep.abort();
      await loop;
    },
  };
}

/** After everything due at the same time or earlier. */
function placeFor(order: readonly { readonly dueMs: number }[], dueMs: number): number {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((order[middle]?.dueMs ?? 0) <= dueMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
