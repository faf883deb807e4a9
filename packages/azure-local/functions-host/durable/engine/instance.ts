import { type EventBody, type HistoryEvent, openSequenceIds } from "../history.ts";
import type { InstanceRow, Message } from "../stores/store.ts";

/** An event with its JSON text, which is stored and handed to each later episode as it is. */
export interface Recorded {
  readonly event: HistoryEvent;
  readonly text: string;
}

/** An orchestration that has not ended, in memory. */
export interface LiveInstance {
  row: InstanceRow;
  history: readonly Recorded[];
  /** Messages not in its history yet, in order of arrival. */
  inbox: Message[];
  /** Timers that have not fired, by message id. */
  readonly timers: Set<number>;
  /** Sequence ids scheduled but not settled. */
  open: ReadonlySet<number>;
  /** An episode is under way or queued: one at a time. */
  isQueued: boolean;
}

export function liveInstance(row: InstanceRow, history: readonly Recorded[]): LiveInstance {
  return {
    row,
    history,
    inbox: [],
    timers: new Set(),
    open: openSequenceIds(history.map(({ event }) => event)),
    isQueued: false,
  };
}

/** An event as stored: `IsPlayed` is true for every episode except the one that records it. */
export function record(body: EventBody, nowMs: number): Recorded {
  const event = { ...body, IsPlayed: true, Timestamp: new Date(nowMs).toISOString() };
  return { event, text: JSON.stringify(event) };
}

export function readRecorded(text: string): Recorded {
  return { event: JSON.parse(text) as HistoryEvent, text };
}
