import { DURABLE_EPISODE_MAX_MESSAGES } from "../../../limits.ts";
import { EventType, sequenceOf } from "../history.ts";
import type { Message } from "../stores/store.ts";
import type { LiveInstance } from "./instance.ts";

/** What one episode takes from the inbox. */
export interface Selection {
  /** Added to history in this order. */
  readonly accepted: readonly Message[];
  /** Deleted with the episode: the accepted ones and those that no longer matter. */
  readonly consumed: ReadonlySet<number>;
}

/**
 * Chooses the messages of the next episode. Ignores messages of an older execution and settlements of what is not open
 * (any more). A suspension is an episode of its own; while it lasts, everything stays in the inbox until a resumption,
 * which then comes first, or a termination, which ends everything.
 */
export function selectMessages(instance: Pick<LiveInstance, "row" | "history" | "inbox" | "open">): Selection {
  const accepted: Message[] = [];
  const consumed = new Set<number>();
  const open = new Set(instance.open);
  const candidates = inOrder(instance);
  let isSuspended = instance.row.status === "Suspended";
  for (const [index, message] of candidates.entries()) {
    if (accepted.length >= DURABLE_EPISODE_MAX_MESSAGES) break;
    const { event } = message;
    if (isMeaningless(message, instance, open, isSuspended)) {
      consumed.add(message.id);
      continue;
    }
    if (event.EventType === EventType.ExecutionSuspended && accepted.length > 0) break;
    accepted.push(message);
    consumed.add(message.id);
    const { closes } = sequenceOf(event);
    if (closes !== undefined) open.delete(closes);
    if (event.EventType === EventType.ExecutionResumed) isSuspended = false;
    if (event.EventType === EventType.ExecutionSuspended) break;
    if (event.EventType === EventType.ExecutionTerminated) {
      for (const { id } of candidates.slice(index + 1)) consumed.add(id);
      break;
    }
  }
  return { accepted, consumed };
}

/**
 * The start comes first, even if overtaken by external events; a suspended instance takes what wakes it first, or
 * nothing.
 */
function inOrder({ row, history, inbox }: Pick<LiveInstance, "row" | "history" | "inbox">): readonly Message[] {
  if (row.status !== "Suspended") {
    if (history.length > 0) return inbox;
    const start = inbox.find(
      ({ event, executionId }) => event.EventType === EventType.ExecutionStarted && executionId === row.executionId,
    );
    return start === undefined ? [] : [start, ...inbox.filter((message) => message !== start)];
  }
  const wake = inbox.findIndex(
    ({ event }) => event.EventType === EventType.ExecutionResumed || event.EventType === EventType.ExecutionTerminated,
  );
  const waker = inbox[wake];
  return waker === undefined ? [] : [waker, ...inbox.filter((message) => message !== waker)];
}

function isMeaningless(
  { executionId, event, id }: Message,
  { row, history, inbox }: Pick<LiveInstance, "row" | "history" | "inbox">,
  open: ReadonlySet<number>,
  isSuspended: boolean,
): boolean {
  if (executionId !== undefined && executionId !== row.executionId) return true;
  if (event.EventType === EventType.ExecutionStarted) return history.length > 0;
  if (event.EventType === EventType.ExecutionResumed) return !isSuspended;
  // Sent while the instance was already suspended, before the resumption that now wakes it.
  if (event.EventType === EventType.ExecutionSuspended) return row.status === "Suspended" && isBeforeWaker(id, inbox);
  const { closes } = sequenceOf(event);
  return closes !== undefined && !open.has(closes);
}

function isBeforeWaker(id: number, inbox: readonly Message[]): boolean {
  const waker = inbox.find(({ event }) => event.EventType === EventType.ExecutionResumed);
  return waker !== undefined && id < waker.id;
}
